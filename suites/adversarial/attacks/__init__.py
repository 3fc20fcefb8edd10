"""The attacks: each takes a `Problem` and returns a verdict for every image; `attack_sequence` runs them."""
