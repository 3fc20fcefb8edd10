"""What is done with a network and a map, one file each. Only those that take gradients import torch.

gradients            input gradients of log-odds, SmoothGrad; the outputs of a category
exchange             evidence of object and ground, by exchanging one of them
localisation         where a map lies against a mask: AUC, mass, ranks
gradient_statistics  how a gradient is organised: spectrum, total variation, Gini
masks, mask_context  masks at the network's input; what a chunk's maps are held against
references           maps that know no network: Sobel, darkness, a blob, noise
clickme              agreement with what people clicked on
"""
