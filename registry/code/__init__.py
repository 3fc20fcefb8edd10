"""What code is, as digests: normalised syntax of everything that a piece of code may reach, and what it captured.

syntax   one file without words, layout, positions        files    where modules lie, and the data beside them
closure  what is reached, as one digest                   values   functions and whatever they hold
"""
