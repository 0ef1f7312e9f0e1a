"""Twice the input."""

import torch


def get_init_inputs(**_):
    return []


def get_inputs(*, size, device, seed):
    return [torch.rand(size, device=device, generator=torch.Generator(device).manual_seed(seed))]


def expected(inputs, **_):
    yield (slice(None),), inputs[0] * 2


def expected_roof(inputs, **_):
    yield (slice(None),), inputs[0]


def tolerance(**_):
    return 1e-6
