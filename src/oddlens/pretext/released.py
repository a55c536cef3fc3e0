"""The released SSM code's inference, batched: random partitions, two rounds, 8 x 8 blocks.

SSM, section 7.1. Differences from the released code are of speed only: the variants of many images
are stacked into batches and the masks are drawn once, since they are the same for every image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from oddlens.pretext.masking import cell_means, paint_cells, released_partition_masks
from oddlens.pretext.refinement import Restore
from oddlens.pretext.similarity import gradient_pyramid, msgms_map, smooth

BLOCK = 8
"""Side of the blocks that are uncovered, in pixels."""

_RELEASED_WEIGHT = sum((cell / 128) ** 2 for cell in (2, 4, 8))
"""What the weights of the cell sizes add up to in the released code: the threshold's unit."""


@dataclass(frozen=True)
class ReleasedSettings:
    """The constants of the released inference.

    Attributes:
        cells: cell sizes in pixels.
        parts: masks a cell size.
        rounds: R; 2 is one refinement, 1 is none.
        threshold: a pixel is normal where 255 times the smoothed score lies below minus this, for
            the released code's size (128) and cell sizes. Elsewhere it is scaled so that it stands
            for the same weighted error: 0.96 is an error below 0.0157 (our choice, SSM-U6).
        ratio: share of normal pixels above which a block is uncovered.
        seed: the masks of round r are drawn with ``seed + r``.
        sigma: of the smoothing, in pixels.
        rows_only: smooth along rows only, as the released code does at batch size 1.
        equal_weights: weigh all cell sizes alike instead of by ``1 / (S / k)^2`` (ablation).
    """

    cells: Sequence[int] = (2, 4, 8)
    parts: int = 3
    rounds: int = 2
    threshold: float = 0.96
    ratio: float = 0.8
    seed: int = 8
    sigma: float = 7.0
    rows_only: bool = True
    equal_weights: bool = False


@dataclass(frozen=True)
class ReleasedScores:
    """What the released inference gives for N images.

    Attributes:
        unsmoothed: one ``(N, S, S)`` map a round.
        maps: ``(N, S, S)``, the smoothed map of the last round; may be negative.
        mse: ``(N,)``, the mean squared errors of the last round, summed over the cell sizes.
        uncovered: ``(N, S, S)``, 1 where the last refinement judged a pixel normal, or None.
    """

    unsmoothed: list[Tensor]
    maps: Tensor
    mse: Tensor
    uncovered: Tensor | None


# The same for every image. Made anew while a graph is drawn, they would be symbols and not numbers.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _masks(size: int, cell: int, parts: int, seed: int) -> Tensor:
    return released_partition_masks(size, cell, parts, seed)


def released_inference(
    restore: Restore, images: Tensor, settings: ReleasedSettings, *, stack: int | None = 32
) -> ReleasedScores:
    """Score images as the released code does.

    Args:
        restore: the network in evaluation mode.
        images: ``(N, 3, S, S)`` in [0, 1].
        settings: its constants.
        stack: most variants in one network pass; None for all, whose number may be a symbol.
    """
    size = images.shape[-1]
    weights = {
        cell: 1 / len(settings.cells) if settings.equal_weights else (cell / size) ** 2
        for cell in settings.cells
    }
    threshold = settings.threshold * (sum(weights.values()) / _RELEASED_WEIGHT)
    pyramid = gradient_pyramid(images)
    opened = torch.zeros(images.shape[0], size, size, dtype=torch.bool, device=images.device)
    normal: Tensor | None = None
    history = []
    maps = mse = torch.zeros(())
    for turn in range(settings.rounds):
        last = turn == settings.rounds - 1
        score = torch.zeros_like(images[:, 0])
        mse = torch.zeros(images.shape[0], dtype=torch.float64, device=images.device)
        for cell, weight in weights.items():
            masks = _masks(size, cell, settings.parts, settings.seed + turn)
            output = _in_paint(restore, images, masks.to(images.device), opened, stack)
            if last:
                output = torch.where(output == 0, images, output)
                mse += (images - output).double().square().flatten(1).mean(dim=1)
            # The released map adds up similarities to 4 and divides by 4: ours minus 3/4.
            score += weight * (msgms_map(pyramid, gradient_pyramid(output), size) - 0.75)
        history.append(score)
        maps = smooth(score, settings.sigma, rows_only=settings.rows_only)
        if not last:
            normal = (255 * maps < -threshold).float()
            opened = paint_cells(cell_means(normal, BLOCK) > settings.ratio, size, BLOCK)
    return ReleasedScores(history, maps, mse, normal)


def _in_paint(
    restore: Restore, images: Tensor, masks: Tensor, opened: Tensor, stack: int | None
) -> Tensor:
    """``sum_i f(x m_i, m_i) (1 - m_i)`` with all masks opened where ``opened`` says so."""
    count, parts = images.shape[0], masks.shape[0]
    visible = torch.maximum(masks[None], opened[:, None].to(masks.dtype)).flatten(0, 1)[:, None]
    if stack is None:
        shown = images[:, None].expand(-1, parts, -1, -1, -1).flatten(0, 1)
        made = restore(shown * visible, visible) * (1 - visible)
        return made.reshape(count, parts, *images.shape[1:]).sum(dim=1)
    image_of = torch.arange(count, device=images.device).repeat_interleave(parts)
    output = torch.zeros_like(images)
    for start in range(0, count * parts, stack):
        index, mask = image_of[start : start + stack], visible[start : start + stack]
        output.index_add_(0, index, restore(images[index] * mask, mask) * (1 - mask))
    return output
