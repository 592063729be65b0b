"""A small float network, as if trained."""

import torch
from torch import nn


def make_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.ConvTranspose2d(12, 3, 4, 2, 1),
        nn.Sigmoid(),
    )
    network[3].running_mean.uniform_(-0.2, 0.2)
    network[3].running_var.uniform_(0.5, 2)
    return network.eval()
