"""Stimulus sets: what exists, where it comes from, how it is read; and published tables of trials.

catalogue   what sets are known            places      where a set lies on this disk
fetch       download, add                  verifying   whether it is whole
sets        a folder as `Stimuli`          listings    what lies in it, before anything is read
resolver    the set for a role             cells       sets of many folders, such as ImageNet-C
textures    pictures for transforms        trials      tables of human and published answers
"""
