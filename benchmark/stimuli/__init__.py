"""Stimulus sets: what exists, where it comes from, how it is read; and published tables of trials.

catalogue          sets and their folders     image_names       what images' names contain
experiments        experiments as data
published_sources  published collections      trial_tables, score_tables   published answers
fetch              download, add              verify            check against the publication
items              images of a folder         datasets          a folder as `Stimuli`
image_files        pixels and digests         masked            sets with masks or maps
roles              the set of a role          generated         the built-in world's sets
stylise, regenerate   sets made from others   shards            Parquet and tar files"""
