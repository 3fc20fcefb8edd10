"""Experiments with people in a browser: one page that shows a set, and a server that keeps the answers."""
