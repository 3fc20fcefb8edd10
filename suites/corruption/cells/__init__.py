"""Trials of a sweep as a table: what a `cell` is, the `table` of images by cells, the `shares` of right answers in it
and their resamples, and the cells that a recipe was shown in `training`."""
