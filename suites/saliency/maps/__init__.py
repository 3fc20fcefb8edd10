"""What is done with a network and a map, one file each. They take gradients, and so import torch.

gradients     input gradients of log-odds, SmoothGrad; how a gradient is organised: spectrum, total variation, Gini
exchange      evidence of object and ground, by exchanging one of them
localisation  where a map falls: scores of one map, masks at the network's input
references    maps that know no network: Sobel, darkness, a blob, noise; agreement with what people clicked on"""
