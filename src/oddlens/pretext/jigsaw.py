"""The jigsaw of MultiTask: one of k fixed permutations of a 3 x 3 grid; which one was it?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from oddlens.errors import UsageError
from oddlens.pretext.pieces import assemble, cut, draw_offsets, scattered, shuffle, with_margin

_CANDIDATES = 500
"""Permutations that are looked at for each one that is chosen."""


def distant_permutations(
    pieces: int, count: int, *, seed: int, include_identity: bool = False
) -> list[tuple[int, ...]]:
    """Permutations that differ from each other in as many places as can be (MT-U2).

    Drawn one after the other from a seed: of several hundred random ones the one whose smallest
    Hamming distance to those chosen so far, the identity among them, is largest. The identity
    itself is left out unless asked for: as a class it could be told by its lack of seams.

    Args:
        pieces: n, at least 2.
        count: how many, k.
        seed: the same seed gives the same ones in every process.
        include_identity: make the identity the first of them.

    Raises:
        UsageError: there are fewer permutations than that.
    """
    there_are = math.factorial(pieces) - (not include_identity)
    if count > there_are:
        raise UsageError(
            f"permutations: {count} were asked for, but {pieces} pieces have {there_are}; "
            "ask for fewer or for a larger grid"
        )
    rng = np.random.default_rng(seed)
    identity = np.arange(pieces)
    chosen = [identity]
    while len(chosen) <= count:
        drawn = np.stack([rng.permutation(pieces) for _ in range(_CANDIDATES)])
        distances = np.stack([(drawn != other).sum(axis=1) for other in chosen]).min(axis=0)
        if distances.max() > 0:
            chosen.append(drawn[distances.argmax()])
    kept = chosen[:count] if include_identity else chosen[1:]
    return [tuple(int(place) for place in each) for each in kept]


@dataclass(frozen=True)
class Jigsaw:
    """Cut, shuffle by one of k permutations, put together with a gap (MultiTask, section 3).

    Attributes:
        permutations: k of them; slot i holds piece ``permutation[i]``.
        grid: pieces a side.
        margin: see ``pieces.with_margin``; random offsets in training, centred ones in scoring.
    """

    permutations: tuple[tuple[int, ...], ...]
    grid: int
    margin: int
    name: str = "jigsaw"
    keeps_first: bool = False

    @property
    def classes(self) -> int:
        """K."""
        return len(self.permutations)

    def transforms(self, images: Tensor, generator: Generator | None) -> Tensor:
        """``(k, N, C, S, S)``, in the order of the permutations."""
        pieces = cut(images, self.grid)
        made = []
        for permutation in self.permutations:
            order = torch.tensor(permutation, device=images.device).expand(images.shape[0], -1)
            if self.margin and generator is not None:
                count, number = order.shape
                source = draw_offsets(count, number, self.margin, generator)
                target = draw_offsets(count, number, self.margin, generator)
                made.append(scattered(pieces, order, self.margin, source, target))
            else:
                made.append(assemble(with_margin(shuffle(pieces, order), self.margin)))
        return torch.stack(made)
