"""Figures as Vega-Lite specifications: plain data, one module for each kind of figure."""
