"""Piece-wise jigsaw puzzle: of the piece in each slot, where in the image did it come from?

MultiCue, section 3 as the third-party summary has it: the image is cut into n pieces and shuffled
by a permutation Pi; for every slot i the network predicts Pi^i, the original position of the piece
that now lies there. It is not asked for the index of a permutation, so that any of the n! may be
drawn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def draw_orders(count: int, pieces: int, generator: Generator) -> Tensor:
    """Draw permutations, uniformly among all ``pieces!`` (our choice, MC-U6).

    Args:
        count: N.
        pieces: n.
        generator: on the CPU.

    Returns:
        ``(N, n)`` int64; entry i of a row is the original position of the piece in slot i, which is
        the label of slot i.
    """
    return torch.rand(count, pieces, generator=generator, dtype=torch.float64).argsort(dim=1)


def fixed_orders(count: int, pieces: int, seed: int) -> Tensor:
    """The permutations of the test, the same for every image: ``(R, n)`` int64 (MC-U6).

    Args:
        count: R.
        pieces: n.
        seed: decides them alone.
    """
    return draw_orders(count, pieces, Generator().manual_seed(seed))


def puzzle_loss(logits: Tensor, order: Tensor) -> Tensor:
    """Cross-entropy ``CE(f_i(phi(Pi(I))), Pi^i)`` of every slot.

    Args:
        logits: ``(N, n, n)``; of image, slot, and candidate position.
        order: ``(N, n)`` int64, the original positions.

    Returns:
        ``(N, n)`` by slot, at least 0. The mean over slots is the published loss.
    """
    losses = F.cross_entropy(logits.flatten(0, 1), order.flatten(), reduction="none")
    return losses.view(order.shape)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of slots whose highest logit is the label: ``(N, n, classes)``, ``(N, n)``."""
    return float((logits.argmax(dim=-1) == labels).double().mean())
