"""Published systems as runnable claims: ledgers, and the tables and figures they come from."""
