"""What can be run: model cards, loaders, preprocessing and label spaces. Imports nothing of `benchmark`."""
