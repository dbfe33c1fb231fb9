"""Tables and figures from frames: works on columns by name and knows nothing of the model behind them."""
