"""The built-in world: stimuli with exact ground truth, drawn on demand and offline.

Sixteen classes have a silhouette and a texture of their own; stimuli agree or disagree in the two. Images are 64 x 64
RGB; the object's mask comes with each. Everything is numpy, and the same stimulus has the same pixels on every machine.
"""
