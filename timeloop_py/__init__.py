"""Cycles, energy and area of (sparse) DNN accelerators, in Python."""

__version__ = "0.1.0"
