"""Transformation recognition: show a network transformed images, ask which transform it was.

MultiTask, sections 3, 5 and 7; GeoTrans and MHRot are of the same kind. A task is a fixed list of
transforms; its head names the transform; the evidence is how badly the true one is recognised.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Inner = Literal["sum", "mean"]


class Task(Protocol):
    """A list of transforms to be told apart."""

    @property
    def name(self) -> str:
        """Of the head and of the cue."""
        ...

    @property
    def classes(self) -> int:
        """How many transforms, T."""
        ...

    @property
    def keeps_first(self) -> bool:
        """Whether transform 0 is the untouched image, which tasks can share."""
        ...

    def transforms(self, images: Tensor, generator: Generator | None) -> Tensor:
        """Every transform of every image: ``(N, C, S, S)`` to ``(T, N, C, S, S)``.

        Args:
            images: in [0, 1].
            generator: for tasks with random parts; None for the fixed form that scoring uses.
        """
        ...


def task_loss(logits: Tensor) -> Tensor:
    """``sum_j CE(f(phi(T_j x)), j)``, mean over the batch (MultiTask, section 5).

    Args:
        logits: ``(T, N, T)``; row j holds the answers to transform j.

    Returns:
        A scalar.
    """
    count, images, _ = logits.shape
    labels = torch.arange(count, device=logits.device).repeat_interleave(images)
    return F.cross_entropy(logits.flatten(0, 1), labels, reduction="sum") / images


def truth(logits: Tensor) -> Tensor:
    """Softmax probability of the true transform, in float64: ``(T, N, T)`` to ``(T, N)``."""
    return logits.double().softmax(dim=-1).diagonal(dim1=0, dim2=2).T


def normality(logits: Tensor, inner: Inner = "sum") -> Tensor:
    """``n(x) = sum_j softmax(f(phi(T_j x)))_j`` (MultiTask, section 7; literal: not divided by T).

    Args:
        logits: ``(T, N, T)``.
        inner: ``"mean"`` divides by T, so that tasks with more transforms weigh no more (MT-U11).

    Returns:
        ``(N,)`` float64 in [0, T], or [0, 1]; higher = *more normal*.
    """
    solved = truth(logits)
    return solved.sum(dim=0) if inner == "sum" else solved.mean(dim=0)


def accuracy(logits: Tensor) -> float:
    """Share of transforms that are recognised: ``(T, N, T)`` to [0, 1]."""
    labels = torch.arange(len(logits), device=logits.device)[:, None]
    return float((logits.argmax(dim=-1) == labels).double().mean())
