"""Progressive mask refinement: uncover what restores well until the mask holds only what does not.

SSM, section 7.2 (a reconstruction of the paper's loop; details SSM-U6 to U9). For each cell size
the first pass in-paints every pixel once, from two complementary checkerboards. The cells that came
out badly form the suspicious set H; the next passes hide H alone, so that it is judged from an
image whose normal part is all visible, and H only ever shrinks.

Variants of one image (cell sizes, both checkerboards, refinement rounds) are stacked into batches;
an image leaves a cell size's loop as soon as its H is empty or stable, and nothing is in-painted
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from oddlens.pretext.masking import cell_means, paint_cells
from oddlens.pretext.restoration import Reference, error_maps

Restore = Callable[[Tensor, Tensor], Tensor]
"""``(masked images (M, 3, S, S), masks (M, 1, S, S)) -> restored images (M, 3, S, S)``."""

Judge = Callable[[Tensor], Tensor]
"""``error maps (M, 4, S, S) -> (M, S, S)``, the one error that the thresholds apply to."""


class Stop(IntEnum):
    """Why the refinement of an image ended at one cell size."""

    EMPTY = 0
    """Every cell restores well."""
    STABLE = 1
    """The suspicious set shrank by less than 1 %."""
    LIMIT = 2
    """The allowed number of rounds is used up."""


@dataclass
class Refined:
    """The outcome at one cell size for N images.

    Attributes:
        first: ``(N, 4, S, S)`` error maps of the first pass.
        last: ``(N, 4, S, S)`` error maps of the last pass in which a pixel was in-painted.
        restored: ``(N, 3, S, S)``, each pixel as it was in-painted last.
        covered: ``(N, S, S)`` bool, what the last pass in-painted: all in the first, then H.
        hidden: ``(N, S, S)`` bool, H at the end.
        rounds: ``(N,)`` int64, refinement rounds run.
        stop: ``(N,)`` int64, a ``Stop``.
        forwards: network passes spent on all N images.
    """

    first: Tensor
    last: Tensor
    restored: Tensor
    covered: Tensor
    hidden: Tensor
    rounds: Tensor
    stop: Tensor
    forwards: int = 0


def first_pass(
    restore: Restore, reference: Reference, masks: Tensor, *, stack: int = 32
) -> tuple[Tensor, Tensor]:
    """In-paint every pixel once from masks that together hide each pixel once.

    Args:
        restore: the network in evaluation mode.
        reference: of N images.
        masks: ``(V, S, S)``: two checkerboards, or a partition.
        stack: most variants in one network pass.

    Returns:
        The assembled images ``(N, 3, S, S)`` and their error maps ``(N, 4, S, S)``.
    """
    count, variants = len(reference.images), len(masks)
    image_of = torch.arange(count).repeat_interleave(variants)
    restored = reference.images.clone()
    hidden = (masks == 0).repeat(count, 1, 1)
    _in_paint(restore, reference.images, image_of, hidden, stack, restored)
    return restored, error_maps(reference, restored)


def _in_paint(
    restore: Restore,
    images: Tensor,
    image_of: Tensor,
    hidden: Tensor,
    stack: int,
    result: Tensor,
) -> None:
    """Write the hidden pixels of every variant, as the network restores them, into ``result``."""
    for start in range(0, len(hidden), stack):
        index = image_of[start : start + stack]
        cover = hidden[start : start + stack, None]
        visible = (~cover).to(images.dtype)
        output = restore(images[index] * visible, visible)
        # Variants of one image never hide the same pixel, so the order of writing is immaterial.
        for place, image in enumerate(index.tolist()):
            torch.where(cover[place], output[place], result[image], out=result[image])


def refine(
    restore: Restore,
    judge: Judge,
    reference: Reference,
    masks: Mapping[int, Tensor],
    thresholds: Mapping[int, tuple[float, float]],
    *,
    rounds: int,
    stack: int = 32,
) -> dict[int, Refined]:
    """Run the loop on N images, each cell size with a suspicious set of its own (SSM-U9).

    Args:
        restore: the network in evaluation mode.
        judge: turns error maps into the error that is held against the thresholds.
        reference: of N images.
        masks: first masks by cell size, ``(V, S, S)`` each.
        thresholds: by cell size, for the first pass and for the later ones.
        rounds: T, the most refinement rounds; 0 is plain in-painting.
        stack: most variants in one network pass.

    Returns:
        One ``Refined`` a cell size.
    """
    outcome = {}
    for cell, boards in masks.items():
        early, later = thresholds[cell]
        state = _start(restore, judge, reference, boards, cell, early, stack)
        for _ in range(rounds):
            if not _refine_once(restore, judge, reference, state, boards, cell, later, stack):
                break
        outcome[cell] = state
    return outcome


def _start(
    restore: Restore,
    judge: Judge,
    reference: Reference,
    boards: Tensor,
    cell: int,
    threshold: float,
    stack: int,
) -> Refined:
    """The first pass, and H as it leaves it."""
    restored, first = first_pass(restore, reference, boards, stack=stack)
    hidden = suspicious(judge(first), cell, threshold)
    empty = ~hidden.flatten(1).any(dim=1)
    return Refined(
        first=first,
        last=first.clone(),
        restored=restored,
        covered=torch.ones_like(hidden),
        hidden=hidden,
        rounds=torch.zeros(len(first), dtype=torch.int64, device=first.device),
        stop=torch.where(empty, Stop.EMPTY, Stop.LIMIT),
        forwards=len(boards) * len(first),
    )


def suspicious(error: Tensor, cell: int, threshold: float) -> Tensor:
    """``(N, S, S)`` bool: the cells whose mean error exceeds the threshold."""
    return paint_cells(cell_means(error, cell) > threshold, error.shape[-1], cell)


def _refine_once(
    restore: Restore,
    judge: Judge,
    reference: Reference,
    state: Refined,
    boards: Tensor,
    cell: int,
    threshold: float,
    stack: int,
) -> bool:
    """One round for the images still in the loop; False when there are none."""
    active = torch.nonzero(state.stop == Stop.LIMIT).flatten()
    if not len(active):
        return False
    images, before = reference.images[active], state.hidden[active]
    parts, wanted = _parts(before, state.covered[active], boards)
    image_of = torch.nonzero(wanted)[:, 0]
    restored = torch.where(before[:, None], state.restored[active], images)
    _in_paint(restore, images, image_of, parts[wanted], stack, restored)
    errors = error_maps(reference[active], restored)
    after = before & suspicious(judge(errors), cell, threshold)
    state.forwards += len(image_of)
    state.rounds[active] += 1
    state.covered[active], state.hidden[active] = before, after
    state.restored[active] = torch.where(before[:, None], restored, state.restored[active])
    state.last[active] = torch.where(before[:, None], errors, state.last[active])
    old, new = before.flatten(1).sum(dim=1), after.flatten(1).sum(dim=1)
    stop = torch.where(new == 0, Stop.EMPTY, Stop.LIMIT)
    state.stop[active] = torch.where((new > 0) & (new > 0.99 * old), Stop.STABLE, stop)
    return True


def _parts(hidden: Tensor, covered: Tensor, boards: Tensor) -> tuple[Tensor, Tensor]:
    """What to hide in one round, and which of it the last pass has not in-painted already.

    H only shrinks, so that a part which an earlier pass has in-painted is a part of the last one.

    Returns:
        ``(N, V, S, S)`` bool, V the number of first masks, and ``(N, V)`` bool.
    """
    parts, earlier = parts_of(hidden, boards), parts_of(covered, boards)
    known = (parts[:, :, None] == earlier[:, None]).flatten(3).all(dim=3).any(dim=2)
    return parts, parts.flatten(2).any(dim=2) & ~known


def parts_of(hidden: Tensor, boards: Tensor) -> Tensor:
    """H itself and empty parts, or H cut by the first masks where it is large.

    A mask that hides most of an image lies outside what the network was trained on; where H covers
    more than half of an image it is in-painted in as many parts as there are first masks.
    """
    cuts = hidden[:, None] & (boards == 0)
    whole = torch.cat([hidden[:, None], torch.zeros_like(cuts[:, 1:])], dim=1)
    large = (hidden.flatten(1).float().mean(dim=1) > 0.5)[:, None, None, None]
    return (large & cuts) | (~large & whole)
