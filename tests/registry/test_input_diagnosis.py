"""Gross faults of how a network is fed are named by 64 photographs, and a network that is fed right raises none."""
