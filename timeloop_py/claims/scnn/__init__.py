"""The SCNN paper (Parashar et al., ISCA 2017): its ledger, tables and figures, rebuilt from the model."""
