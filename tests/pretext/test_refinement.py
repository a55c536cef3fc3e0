"""The refinement loop: the same as a plain one, only faster; it only uncovers, and it stops."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oddlens.networks.masked_unet import MaskedUNet
from oddlens.pretext.masking import cell_means, checkerboards, partition_masks
from oddlens.pretext.refinement import Judge, Refined, Restore, Stop, first_pass, refine
from oddlens.pretext.restoration import Reference, error_maps
from tests.oracles.ssm_released import box9

SIDE = 32
THRESHOLDS = {2: (0.05, 0.1), 4: (0.02, 0.06), 8: (0.1, 0.15)}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pictures() -> Tensor:
    """Ramps with patches of noise: one clean, some small, one large, one of noise throughout."""
    images = torch.linspace(0.3, 0.5, SIDE).expand(6, 3, SIDE, SIDE).clone()
    images += 0.01 * torch.arange(6)[:, None, None, None]  # no two are alike under any mask
    patches = [(0, 0, 0), (4, 3, 1), (9, 6, 1), (17, 11, 0.4), (2, 20, 1), (0, 32, 1)]
    for index, (place, side, strength) in enumerate(patches):
        patch = slice(place, place + side)
        images[index, :, patch, patch] += strength * (noise(3, side, side, seed=index) - 0.4)
    return images.clamp(0, 1)


def structure(errors: Tensor) -> Tensor:
    return errors[:, 0]


@dataclass
class Recorder:
    """``box9``, and everything that it was asked."""

    variants: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def __call__(self, masked: Tensor, mask: Tensor) -> Tensor:
        self.calls.append(len(masked))
        self.variants += list(zip(masked.clone(), mask.clone(), strict=True))
        return box9(masked, mask)

    @property
    def unlike(self) -> int:
        """How many different variants there were."""
        return len({(v.numpy().tobytes(), m.numpy().tobytes()) for v, m in self.variants})


def run(
    images: Tensor,
    cell: int = 4,
    *,
    rounds: int = 3,
    restore: Restore = box9,
    thresholds: tuple[float, float] | None = None,
    stack: int = 32,
    judge: Judge = structure,
) -> Refined:
    return refine(
        restore,
        judge,
        Reference.of(images),
        {cell: checkerboards(images.shape[-1], cell)},
        {cell: thresholds or THRESHOLDS[cell]},
        rounds=rounds,
        stack=stack,
    )[cell]


# --- against a plain loop -------------------------------------------------------------------------


@dataclass
class Plain:
    first: Tensor
    last: Tensor
    hidden: Tensor
    rounds: int
    stop: Stop
    restored: Tensor
    needed: int
    """Passes that are not a repetition of an earlier one."""


def plain_loop(
    restore: Restore,
    image: Tensor,
    boards: Tensor,
    cell: int,
    thresholds: tuple[float, float],
    rounds: int,
) -> Plain:
    """Section 7.2 for one image and one cell size: mask by mask and cell by cell."""
    side = image.shape[-1]
    reference = Reference.of(image[None])
    asked: list[Tensor] = []

    def in_paint(covers: list[Tensor]) -> tuple[Tensor, Tensor]:
        result = image.clone()
        for cover in covers:
            mask = (~cover).float()
            output = restore((image * mask)[None], mask[None, None])[0]
            result[:, cover] = output[:, cover]
            if not any(torch.equal(cover, before) for before in asked):
                asked.append(cover)
        return result, error_maps(reference, result[None])[0]

    def bad_cells(errors: Tensor, threshold: float) -> Tensor:
        bad = torch.zeros(side, side, dtype=torch.bool)
        for y in range(0, side, cell):
            for x in range(0, side, cell):
                place = slice(y, y + cell), slice(x, x + cell)
                bad[place] = bool(errors[0][place].mean() > threshold)
        return bad

    restored, first = in_paint([board == 0 for board in boards])
    hidden, last, done = bad_cells(first, thresholds[0]), first.clone(), 0
    stop = Stop.LIMIT if hidden.any() else Stop.EMPTY
    while stop == Stop.LIMIT and done < rounds:
        large = hidden.float().mean() > 0.5
        cuts = [hidden & (board == 0) for board in boards]
        result, errors = in_paint(cuts if large else [hidden])
        restored = torch.where(hidden, result, restored)
        last = torch.where(hidden, errors, last)
        smaller = hidden & bad_cells(errors, thresholds[1])
        if not smaller.any():
            stop = Stop.EMPTY
        elif smaller.sum() > 0.99 * hidden.sum():
            stop = Stop.STABLE
        hidden = smaller
        done += 1
    return Plain(first, last, hidden, done, stop, restored, len(asked))


@pytest.mark.parametrize("start", ["checkerboard", "partition"])
@pytest.mark.parametrize("stack", [1, 3, 7, 100])
@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_a_batch_gives_what_a_plain_loop_gives(start: str, stack: int, rounds: int) -> None:
    images = pictures()
    masks = {
        cell: checkerboards(SIDE, cell)
        if start == "checkerboard"
        else partition_masks(SIDE, cell, 3, torch.Generator().manual_seed(cell))
        for cell in THRESHOLDS
    }
    found = refine(
        box9, structure, Reference.of(images), masks, THRESHOLDS, rounds=rounds, stack=stack
    )
    assert list(found) == list(masks)
    reasons = set()
    for cell, ours in found.items():
        needed = 0
        for index, image in enumerate(images):
            plain = plain_loop(box9, image, masks[cell], cell, THRESHOLDS[cell], rounds)
            assert torch.allclose(ours.first[index], plain.first, atol=1e-6)
            assert torch.allclose(ours.last[index], plain.last, atol=1e-6)
            assert torch.equal(ours.hidden[index], plain.hidden)
            assert torch.allclose(ours.restored[index], plain.restored, atol=1e-6)
            assert int(ours.rounds[index]) == plain.rounds
            assert int(ours.stop[index]) == plain.stop
            needed += plain.needed
            reasons.add(plain.stop)
        assert ours.forwards == needed
    assert rounds != 4 or reasons == set(Stop), "the pictures must show every reason to stop"


def test_the_same_with_a_network() -> None:
    torch.manual_seed(0)
    network = MaskedUNet((8, 8), stem=2).eval()
    images = pictures()[:3]

    def restore(masked: Tensor, mask: Tensor) -> Tensor:
        return network(masked, mask)[0]  # type: ignore[no-any-return]

    with torch.inference_mode():
        limit = float(
            first_pass(restore, Reference.of(images), checkerboards(SIDE, 4))[1][:, 0].median()
        )
        ours = run(images, restore=restore, thresholds=(limit, limit), stack=5)
        for index, image in enumerate(images):
            plain = plain_loop(restore, image, checkerboards(SIDE, 4), 4, (limit, limit), 3)
            assert torch.allclose(ours.last[index], plain.last, atol=1e-4)
            assert torch.equal(ours.hidden[index], plain.hidden)


# --- the first pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [2, 5, 8])
def test_the_first_pass_in_paints_every_pixel_once(cell: int) -> None:
    images, recorder = pictures(), Recorder()
    boards = checkerboards(SIDE, cell)
    restored, errors = first_pass(recorder, Reference.of(images), boards, stack=5)
    assert recorder.calls == [5, 5, 2]
    hidden = torch.stack([1 - mask for _, mask in recorder.variants]).view(6, 2, SIDE, SIDE)
    assert torch.equal(hidden.sum(dim=1), torch.ones(6, SIDE, SIDE))
    for index, image in enumerate(images):
        outputs = [box9((image * board)[None], board[None, None])[0] for board in boards]
        expected = torch.where(boards[0] == 0, outputs[0], outputs[1])
        assert torch.allclose(restored[index], expected, atol=1e-6)
    assert torch.equal(errors, error_maps(Reference.of(images), restored))


def test_no_rounds_is_plain_in_painting() -> None:
    images = pictures()
    found = run(images, rounds=0)
    _, errors = first_pass(box9, Reference.of(images), checkerboards(SIDE, 4))
    assert torch.equal(found.first, errors)
    assert torch.equal(found.last, errors)
    assert bool(found.covered.all())
    assert not found.rounds.any()
    assert found.forwards == 2 * len(images)


def test_what_is_hidden_cannot_influence_what_is_restored() -> None:
    torch.manual_seed(0)
    network = MaskedUNet((8, 8), stem=2).eval()
    images, others = noise(2, 3, SIDE, SIDE), noise(2, 3, SIDE, SIDE, seed=1)
    mask = checkerboards(SIDE, 4)[:1]
    hidden = mask[0] == 0
    changed = torch.where(hidden, others, images)

    def restore(masked: Tensor, mask: Tensor) -> Tensor:
        return network(masked, mask)[0]  # type: ignore[no-any-return]

    with torch.inference_mode():
        before, _ = first_pass(restore, Reference.of(images), mask)
        after, _ = first_pass(restore, Reference.of(changed), mask)
        seen, _ = first_pass(restore, Reference.of(torch.where(hidden, images, others)), mask)
    assert torch.equal(before, after)
    assert torch.equal(before[:, :, ~hidden], images[:, :, ~hidden])
    assert not torch.allclose(before[:, :, hidden], seen[:, :, hidden])


# --- the course of the loop -----------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 500),
    cell=st.sampled_from([2, 3, 4, 8]),
    first=st.floats(0, 0.2),
    later=st.floats(0, 0.3),
)
def test_the_hidden_set_only_shrinks(seed: int, cell: int, first: float, later: float) -> None:
    images = pictures()[[0, 3, 5]] * 0.8 + 0.2 * noise(3, 1, SIDE, SIDE, seed=seed)
    before = run(images, cell, rounds=0, thresholds=(first, later))
    for rounds in range(1, 5):
        after = run(images, cell, rounds=rounds, thresholds=(first, later))
        assert not (after.hidden & ~before.hidden).any()
        assert bool((after.rounds <= rounds).all())
        means = cell_means(after.hidden.float(), cell)
        assert bool(((means == 0) | (means == 1)).all()), "whole cells"
        before = after


def test_pixels_outside_the_hidden_set_keep_their_error() -> None:
    images = pictures()
    started, found = run(images, rounds=0), run(images, rounds=4)
    never = ~started.hidden[:, None].expand_as(found.last)
    assert torch.equal(found.last[never], found.first[never])
    assert not torch.equal(found.last, found.first)


def test_each_reason_to_stop() -> None:
    images = pictures()
    lax = run(images, thresholds=(10, 10))
    assert lax.stop.tolist() == [Stop.EMPTY] * 6
    assert not lax.hidden.any()
    assert not lax.rounds.any()
    strict = run(images, thresholds=(-1, -1))
    assert strict.stop.tolist() == [Stop.STABLE] * 6
    assert strict.rounds.tolist() == [1] * 6
    assert bool(strict.hidden.all())
    emptied = run(images, thresholds=(-1, 10))
    assert emptied.stop.tolist() == [Stop.EMPTY] * 6
    assert emptied.rounds.tolist() == [1] * 6
    short = run(images, rounds=0, thresholds=(-1, 10))
    assert short.stop.tolist() == [Stop.LIMIT] * 6


def test_a_set_that_keeps_shrinking_runs_into_the_limit() -> None:
    """One cell less a round, by a judge that counts its calls."""
    calls = 0

    def judge(errors: Tensor) -> Tensor:
        nonlocal calls
        verdict = torch.ones(1, SIDE, SIDE)
        verdict[:, :8, : 8 * calls] = 0
        calls += 1
        return verdict

    found = run(pictures()[:1], 8, rounds=3, thresholds=(0.5, 0.5), judge=judge)
    assert found.stop.tolist() == [Stop.LIMIT]
    assert found.rounds.tolist() == [3]
    assert int(found.hidden.sum()) == SIDE**2 - 3 * 64


@pytest.mark.parametrize(("lost", "reason"), [(1, Stop.STABLE), (3, Stop.LIMIT)])
def test_a_set_that_shrinks_by_less_than_1_percent_is_stable(lost: int, reason: Stop) -> None:
    """One of 256 cells is 0.4 %, three are 1.2 %."""
    calls = 0

    def judge(errors: Tensor) -> Tensor:
        nonlocal calls
        verdict = torch.ones(1, SIDE, SIDE)
        verdict[:, :2, : 2 * lost * calls] = 0
        calls += 1
        return verdict

    found = run(pictures()[:1], 2, rounds=1, thresholds=(0.5, 0.5), judge=judge)
    assert found.stop.tolist() == [reason]


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [2, 4, 8])
@pytest.mark.parametrize("stack", [1, 4, 32])
def test_nothing_is_in_painted_twice_and_every_pass_is_counted(cell: int, stack: int) -> None:
    recorder = Recorder()
    found = run(pictures(), cell, rounds=4, restore=recorder, stack=stack)
    assert len(recorder.variants) == found.forwards == recorder.unlike
    assert max(recorder.calls) <= stack
    for masked, mask in recorder.variants:
        assert bool((masked[:, mask[0] == 0] == 0).all())
        assert bool((mask == 0).any()), "a pass that hides nothing is wasted"


def test_images_leave_when_they_are_done() -> None:
    """A clean image costs the first pass and no more, whatever its neighbours need."""
    images = pictures()[:5]
    clean, both = Recorder(), Recorder()
    alone = run(images[:1], rounds=4, restore=clean)
    assert alone.forwards == 2
    assert alone.stop.tolist() == [Stop.EMPTY]
    rest = run(images[1:], rounds=4)
    together = run(images, rounds=4, restore=both)
    assert together.forwards == alone.forwards + rest.forwards
    later = [mask for _, mask in both.variants[2 * len(images) :]]
    needed = int(rest.rounds.sum())
    assert needed <= len(later) <= 2 * needed


def test_a_large_set_is_in_painted_in_two_complementary_parts() -> None:
    recorder = Recorder()
    started = run(pictures()[4:5], rounds=0)
    share = float(started.hidden.float().mean())
    assert 0.5 < share < 1, "the picture must be mostly suspicious"
    run(pictures()[4:5], rounds=1, restore=recorder)
    parts = [mask[0] == 0 for _, mask in recorder.variants[2:]]
    assert len(parts) == 2
    assert not (parts[0] & parts[1]).any()
    assert torch.equal(parts[0] | parts[1], started.hidden[0])
    boards = checkerboards(SIDE, 4)
    assert torch.equal(parts[0], started.hidden[0] & (boards[0] == 0))


def test_a_small_set_is_in_painted_at_once() -> None:
    recorder = Recorder()
    started = run(pictures()[2:3], rounds=0)
    assert 0 < float(started.hidden.float().mean()) < 0.5
    run(pictures()[2:3], rounds=1, restore=recorder)
    (_, mask) = recorder.variants[-1]
    assert len(recorder.variants) == 3
    assert torch.equal(mask[0] == 0, started.hidden[0])


def test_where_all_is_suspicious_the_first_pass_is_not_repeated() -> None:
    recorder = Recorder()
    found = run(pictures()[:2], rounds=1, thresholds=(-1, 0.01), restore=recorder)
    assert len(recorder.variants) == found.forwards == 4
    assert torch.allclose(found.last, found.first)
    assert found.rounds.tolist() == [1, 1]


def test_the_images_are_left_as_they_were() -> None:
    images = pictures()
    before = images.clone()
    run(images, rounds=2)
    assert torch.equal(images, before)
