"""Systems that the SCNN paper is compared with: what their publications say, from their specs."""
