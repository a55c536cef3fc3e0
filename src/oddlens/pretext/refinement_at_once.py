"""Progressive mask refinement with nothing that depends on the images' contents but their values.

``refinement.refine`` lets an image leave the loop, and skips what is in-painted already; how much
it computes depends on what it sees. A graph that is exported cannot do that. Here every image goes
through every round at all cell sizes at once, and masks keep the results of those that would have
left: the same numbers, up to the rounding of the network, for more work.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from oddlens.pretext.refinement import Judge, Refined, Restore, Stop, parts_of, suspicious
from oddlens.pretext.restoration import Reference, error_maps


def refine_at_once(
    restore: Restore,
    judge: Judge,
    reference: Reference,
    masks: Mapping[int, Tensor],
    thresholds: Mapping[int, tuple[float, float]],
    *,
    rounds: int,
) -> dict[int, Refined]:
    """What ``refine`` gives; ``forwards`` and ``rounds`` of the result say nothing.

    Args:
        restore: the network in evaluation mode.
        judge: turns error maps into the error that is held against the thresholds.
        reference: of N images; N may be a symbol.
        masks: first masks by cell size, ``(V, S, S)`` each, V the same for all.
        thresholds: by cell size, for the first pass and for the later ones.
        rounds: T, all of which are run.
    """
    cells, count = list(masks), reference.images.shape[0]
    every = _repeated(reference, len(cells))
    boards = torch.stack([masks[cell] for cell in cells])
    boards = boards[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)
    images = every.images

    def odd(errors: Tensor, later: int) -> Tensor:
        by_cell = _by_cell(judge(errors), len(cells))
        return torch.cat(
            [
                suspicious(each, cell, thresholds[cell][later])
                for cell, each in zip(cells, by_cell, strict=True)
            ]
        )

    restored = _in_paint(restore, images, boards == 0, images)
    first = last = error_maps(every, restored)
    hidden = odd(first, 0)
    covered = torch.ones_like(hidden)
    stop = torch.where(hidden.flatten(1).any(dim=1), int(Stop.LIMIT), int(Stop.EMPTY))
    for _ in range(rounds):
        before, active = hidden, (stop == int(Stop.LIMIT))[:, None, None]
        kept = torch.where(before[:, None], restored, images)
        made = _in_paint(restore, images, parts_of(before, boards), kept)
        errors = error_maps(every, made)
        after = before & odd(errors, 1)
        changed = (active & before)[:, None]
        restored = torch.where(changed, made, restored)
        last = torch.where(changed, errors, last)
        # onnxruntime chooses between numbers, not between truths: hence no torch.where.
        covered, hidden = (active & before) | (~active & covered), before & (after | ~active)
        stop = torch.where(active[:, 0, 0], _stop(before, after), stop)
    found = [first, last, restored, covered, hidden, torch.zeros_like(stop), stop]
    parts = [_by_cell(each, len(cells)) for each in found]
    return {cell: Refined(*each) for cell, *each in zip(cells, *parts, strict=True)}


def _stop(before: Tensor, after: Tensor) -> Tensor:
    """Why a round ended the refinement of each image, if it did."""
    old, new = (each.flatten(1).sum(dim=1) for each in (before, after))
    stop = torch.where(new == 0, int(Stop.EMPTY), int(Stop.LIMIT))
    return torch.where((new > 0) & (new > 0.99 * old), int(Stop.STABLE), stop)


def _by_cell(values: Tensor, cells: int) -> tuple[Tensor, ...]:
    """``(K N, ...)`` to K times ``(N, ...)``."""
    return values.reshape(cells, values.shape[0] // cells, *values.shape[1:]).unbind()


def _repeated(reference: Reference, times: int) -> Reference:
    """The same images one time after the other."""

    def repeated(values: Tensor) -> Tensor:
        return values[None].expand(times, *values.shape).flatten(0, 1)

    return Reference(
        repeated(reference.images),
        [repeated(level) for level in reference.pyramid],
        repeated(reference.gain),
    )


def _in_paint(restore: Restore, images: Tensor, hidden: Tensor, result: Tensor) -> Tensor:
    """Every variant's hidden pixels ``(M, V, S, S)`` as the network restores them, over ``result``.

    Variants of one image never hide the same pixel; one that hides nothing changes nothing.
    """
    count, variants = images.shape[0], hidden.shape[1]
    visible = (~hidden).to(images.dtype).flatten(0, 1)[:, None]
    shown = images[:, None].expand(-1, variants, -1, -1, -1).flatten(0, 1)
    output = restore(shown * visible, visible).reshape(count, variants, *images.shape[1:])
    for variant in range(variants):
        result = torch.where(hidden[:, variant, None], output[:, variant], result)
    return result
