"""The kinds of number a formula can be fed (Python, NumPy, SymPy) and the named operations on them."""
