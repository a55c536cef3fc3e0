"""The optimizers that a method's options choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from torch import nn
from torch.optim import SGD, Adam, Optimizer

OptimizerName = Literal["sgd", "adam"]


def optimizer_maker(
    name: OptimizerName, rate: float, decay: float = 0.0
) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
    """What a ``Stage`` makes its optimizer with.

    Args:
        name: ``"sgd"`` has Nesterov momentum 0.9, as MHRot's code; ``"adam"`` torch's defaults.
        rate: base learning rate.
        decay: weight decay.
    """
    if name == "adam":
        return lambda parameters: Adam(parameters, lr=rate, weight_decay=decay)
    return lambda parameters: SGD(
        parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay
    )
