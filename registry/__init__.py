"""What can be run: model cards, loaders, preprocessing and label spaces. Imports nothing above it."""

#: Top-level packages of this program, whose code counts by its versions and not by its files. Each adds itself.
OWN_PACKAGES = {"registry"}
