"""Stimulus sets: how they are listed, fetched, verified and read; and published tables of trials and scores."""
