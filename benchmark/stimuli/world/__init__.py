"""The built-in world: stimuli with exact ground truth, drawn by numpy, with equal pixels on every machine. Sixteen
classes have a silhouette and a texture of their own; stimuli of 64 x 64 RGB agree or disagree in the two."""
