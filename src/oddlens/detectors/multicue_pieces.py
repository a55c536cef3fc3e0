"""MultiCue's pieces on their way through the network: shuffled, tinted, spaced, answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from oddlens.detectors.multicue_options import MultiCueOptions
from oddlens.networks.encoders import make_encoder
from oddlens.networks.piecewise import PieceNetwork
from oddlens.pretext.attention import uniform
from oddlens.pretext.pieces import (
    assemble,
    cut,
    draw_offsets,
    scattered,
    shuffle,
    unshuffle,
    with_margin,
)
from oddlens.pretext.puzzle import draw_orders, fixed_orders
from oddlens.pretext.tint import draw_angles, fixed_angles, hues_of, rotation_errors, turned


def piece_network(config: MultiCueOptions) -> PieceNetwork:
    """The discriminative branch that the options ask for."""
    encoder, features = make_encoder(config.encoder, config.widths, config.stem)
    return PieceNetwork(encoder, features, config.grid, config.angles)


class Look(NamedTuple):
    """What was shown of M images, and what the network answered; everything by slot.

    Attributes:
        order: ``(M, n)``, original positions.
        angle: ``(M, n)``, indices of the angles.
        errors: ``(M, n, m)``, ``rotation_errors`` of the pieces; zeros without tint.
        position: ``(M, n, n)`` logits.
        tint: ``(M, n, m)`` logits.
        attention: ``(M, n)``, P, which sums to 1.
        features: ``(M, n, F)``, what the encoder saw.
    """

    order: Tensor
    angle: Tensor
    errors: Tensor
    position: Tensor
    tint: Tensor
    attention: Tensor
    features: Tensor


@dataclass(frozen=True)
class PieceTasks:
    """How images are shown to the discriminative branch.

    Attributes:
        config: the method's options.
        orders: ``(R, n)``, the permutations of the test.
        turns: ``(R, n)``, the angles of the test, by slot.
        active: which of puzzle and tint there are; what is not active leaves the image as it is.
    """

    config: MultiCueOptions
    orders: Tensor
    turns: Tensor
    active: Sequence[str]

    @classmethod
    def of(
        cls,
        config: MultiCueOptions,
        *,
        orders: Tensor | None = None,
        turns: Tensor | None = None,
        active: Sequence[str] | None = None,
    ) -> PieceTasks:
        """The tasks of the options; permutations and angles are drawn where none are given."""
        active = [name for name in config.tasks if active is None or name in active]
        if orders is None:
            orders = fixed_orders(config.permutations, config.grid**2, config.permutation_seed)
            if "puzzle" not in config.tasks:
                orders = torch.arange(config.grid**2).repeat(config.permutations, 1)
        if turns is None:
            turns = fixed_angles(orders, config.angles, config.permutation_seed + 1)
        return cls(config, orders, turns, active)

    def drawn(self, network: PieceNetwork, images: Tensor, generator: Generator) -> Look:
        """One random permutation, and random angles and offsets, for each image (training)."""
        count, config = len(images), self.config
        pieces = config.grid**2
        order = torch.arange(pieces).repeat(count, 1)
        if "puzzle" in self.active:
            order = draw_orders(count, pieces, generator)
        angle = draw_angles(count, pieces, config.angles, generator)
        places = [draw_offsets(count, pieces, config.gap, generator) for _ in range(2)]
        return self._look(network, images, order[None], angle[None], *places)

    def fixed(self, network: PieceNetwork, images: Tensor) -> Look:
        """The R fixed permutations in one batch, M = R N, pass by pass (scoring)."""
        shape = (self.orders.shape[0], images.shape[0], -1)
        orders, turns = (each[:, None].expand(shape) for each in (self.orders, self.turns))
        return self._look(network, images, orders, turns)

    def untouched(self, network: PieceNetwork, images: Tensor) -> Tensor:
        """P ``(N, n)`` of images that are neither shuffled nor tinted (MC-U12).

        Their pieces have the gaps of scoring, since the network knows no images without.
        """
        pieces = with_margin(cut(images, self.config.grid), self.config.gap)
        return self._attention(network(assemble(pieces)).attention)

    def located(self, evidence: Tensor, look: Look, count: int) -> Tensor:
        """A map of the pieces' evidence in their original places, averaged over the passes.

        Args:
            evidence: ``(R N, n)``, by slot.
            look: where it comes from.
            count: N.

        Returns:
            ``(N, S, S)`` float32, constant within a piece.
        """
        grid = self.config.grid
        placed = unshuffle(evidence, look.order).view(-1, count, grid, grid).mean(dim=0)
        cell = self.config.image_size // grid
        return placed.float().repeat_interleave(cell, dim=1).repeat_interleave(cell, dim=2)

    def _look(
        self,
        network: PieceNetwork,
        images: Tensor,
        orders: Tensor,
        angles: Tensor,
        source: Tensor | None = None,
        target: Tensor | None = None,
    ) -> Look:
        """Show images under each pass's ``(N, n)`` order and angles, ``(R, N, n)``; M = R N."""
        orders, angles = orders.to(images.device), angles.to(images.device)
        config = self.config
        pieces = cut(images, config.grid)
        errors = pieces.new_zeros(*pieces.shape[:2], config.angles)
        if "tint" in self.active:
            hues = hues_of(pieces)
            errors = rotation_errors(hues, config.angles)
        shown = []
        for order, angle in zip(orders, angles, strict=True):
            if "tint" in self.active:
                turns = unshuffle(angle, order).to(images.dtype) / config.angles
                pieces = turned(hues, turns[..., None, None])
            if source is not None and target is not None:
                shown.append(scattered(pieces, order, config.gap, source, target))
            else:
                shown.append(assemble(with_margin(shuffle(pieces, order), config.gap)))
        every = shown[0] if len(shown) == 1 else torch.cat(shown)
        answers = network(
            every.contiguous(memory_format=torch.channels_last),
            detach_attention=config.attention == "l",
        )
        return Look(
            orders.flatten(0, 1),
            angles.flatten(0, 1),
            torch.cat([shuffle(errors, order) for order in orders]),
            answers.position,
            answers.tint,
            self._attention(answers.attention),
            answers.features,
        )

    def _attention(self, logits: Tensor) -> Tensor:
        if self.config.attention == "off":
            count, pieces = logits.shape
            return uniform(count, pieces, logits.device)
        return logits.softmax(dim=1)
