"""Image transforms: the degradations of the human experiments and the common corruptions, batched."""
