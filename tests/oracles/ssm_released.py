"""Numbers from the SSM authors' code, and the two stand-ins that produced them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@cache
def _arrays() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_suffix(".npz")) as file:
        return {name: file[name] for name in file.files}


def oracle(name: str) -> Tensor:
    """One array; numbers of any other type than float come as float32."""
    array = _arrays()[name]
    return torch.from_numpy(array if array.dtype.kind == "f" else array.astype(np.float32))


def oracle_names(prefix: str) -> list[str]:
    return [name for name in _arrays() if name.startswith(prefix)]


def parameter_list() -> list[str]:
    """``index:name:shape`` of every parameter of the released network, in order."""
    return [str(line) for line in _arrays()["net_parameters"]]


def box9(masked: Tensor, mask: Tensor) -> Tensor:
    """The stand-in for the network: the mean of the visible pixels in a 9 x 9 window."""
    return F.avg_pool2d(masked, 9, 1, 4) / (F.avg_pool2d(mask, 9, 1, 4) + 1e-3)


def sine_weights(parameter: Tensor, index: int, owner: nn.Module, *, is_bias: bool) -> Tensor:
    """The rule by which parameter number ``index`` of the oracle's network was filled."""
    waves = torch.sin(0.7 * torch.arange(parameter.numel(), dtype=torch.float64) + index)
    if is_bias:
        values = 0.05 * waves
    elif isinstance(owner, nn.BatchNorm2d):
        values = 1 + 0.1 * waves
    else:
        values = waves * (1 / parameter[0].numel()) ** 0.5
    return values.view_as(parameter).float()
