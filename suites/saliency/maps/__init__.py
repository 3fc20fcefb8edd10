"""What is done with a network and a map, one file each. They take gradients, and so import torch."""
