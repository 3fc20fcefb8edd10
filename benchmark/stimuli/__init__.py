"""Stimulus sets: what exists, where it comes from, how it is read; and published tables of trials.

catalogue   what sets are known            places      where a set lies on this disk
fetch       download, add, verify          sets        a folder as `Stimuli`, subsets, seeds
shelf       the set for a role             trials      tables of human and published answers
"""
