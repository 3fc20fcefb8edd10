"""What is done with a network and a map, one file each. They take gradients, and so import torch.

gradients     input gradients of log-odds, SmoothGrad; how a gradient is organised: spectrum, total variation, Gini
exchange      evidence of object and ground, by exchanging one of them
localisation  where a map lies against a mask: AUC, mass, ranks
mask_context  masks at the network's input; what a chunk's maps are held against
references    maps that know no network: Sobel, darkness, a blob, noise; agreement with what people clicked on"""
