"""The exponential average of a network and its batch-norm statistics."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pbgen.binarize import binarize
from pbgen.training.average import Average, refresh_batch_norm


def test_average_follows_its_formula() -> None:
    module = nn.Linear(3, 2)
    average = Average(module, decay=0.5)
    expected = module.weight.detach().double().numpy().copy()
    for t in range(20):
        with torch.no_grad():
            module.weight.copy_(torch.randn(2, 3))
        average.update(module, t)
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * module.weight.detach().double().numpy()
    np.testing.assert_allclose(average.module.weight.numpy(), expected, atol=1e-6)


def test_no_average_is_the_generator_itself() -> None:
    module = nn.Linear(3, 2)
    average = Average(module, decay=0.0)
    with torch.no_grad():
        module.weight.copy_(torch.randn(2, 3))
    average.update(module, 0)
    assert torch.equal(average.module.weight, module.weight)


def test_average_of_a_binary_generator_averages_latent_weights_and_stays_binary() -> None:
    module = binarize(nn.Sequential(nn.Conv2d(2, 3, 3)), "all")
    average = Average(module, decay=0.9)
    average.update(module, 0)
    weight = average.module[0].weight
    for channel in weight:
        assert len(channel.abs().unique()) == 1
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_average_of_a_generator_whose_weights_are_normalized() -> None:
    """By a hook, which leaves a tensor with a gradient behind, that torch's deepcopy refuses."""
    module = nn.utils.weight_norm(nn.Linear(3, 2))
    module(torch.ones(1, 3)).sum().backward()
    average = Average(module, decay=0.0)
    with torch.no_grad():
        module.weight_g.mul_(3)
    average.update(module, 0)
    x = torch.randn(4, 3)
    torch.testing.assert_close(average.module(x), module(x).detach())


def test_refreshed_statistics_are_those_of_the_batches() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 5), nn.BatchNorm1d(5))
    batches = [torch.randn(50, 4) for _ in range(3)]
    refresh_batch_norm(module, batches)
    first = [module[0](batch) for batch in batches]
    # Each batch is normalized by itself on its way to the second batch norm, and dropout is off.
    second = [module[3]((x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()) for x in first]
    for norm, outputs in ((module[1], first), (module[4], second)):
        torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(0) for x in outputs]).mean(0))
        torch.testing.assert_close(norm.running_var, torch.stack([x.var(0) for x in outputs]).mean(0))
        assert norm.momentum == 0.1
    assert not any(layer.training for layer in module.modules())


def test_refreshing_uses_the_signs_of_evaluation() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 4, bias=False), nn.BatchNorm1d(4))
    binarize(module, "all", "binaryconnect-stochastic")
    batch = torch.randn(30, 8)
    refresh_batch_norm(module, [batch])
    expected = batch @ torch.where(module[0].parametrizations.weight.original >= 0, 1.0, -1.0).T
    torch.testing.assert_close(module[1].running_mean, expected.mean(0))


def test_refreshing_draws_nothing_and_leaves_a_module_without_batch_norm_alone() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    refresh_batch_norm(module, [torch.ones(2, 4)])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
