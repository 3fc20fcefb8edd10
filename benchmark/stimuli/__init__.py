"""Stimulus sets: what exists, where it comes from, how it is read; and published tables of trials.

catalogue   what sets and sources are known, where a set lies, what names say
fetch       download, add (`downloads`: archives)       verify      whether it is whole
items       what lies in a folder                       datasets    a folder as `Stimuli`
image_files pixels and digests                          masked      sets with masks or maps
roles       the set that plays a role                   generated   the built-in world's sets
stylise, regenerate   sets made here                    trials, score_tables   published answers"""
