"""The released inference: the authors' numbers, and a plain loop over images one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from torch import Tensor

from oddlens.pretext.masking import released_partition_masks
from oddlens.pretext.refinement import Restore
from oddlens.pretext.released import ReleasedScores, ReleasedSettings, released_inference
from oddlens.pretext.similarity import gradient_pyramid, msgms_map
from tests.oracles.ssm_released import box9, oracle

RELEASED = ReleasedSettings()
SMALL = ReleasedSettings(cells=(2, 4), threshold=0.9, sigma=2.0)
"""For 32 x 32: a laxer threshold, so that some blocks are uncovered there and some are not."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pictures() -> Tensor:
    """Flat images with a patch of noise each, of different size and place."""
    images = torch.linspace(0.3, 0.6, 32).expand(4, 3, 32, 32).clone()
    for index, (place, side) in enumerate([(2, 4), (8, 10), (16, 16), (0, 32)]):
        patch = slice(place, place + side)
        images[index, :, patch, patch] = noise(3, side, side, seed=index)
    return images


class Recorder:
    """``box9``, and every mask that it was asked with."""

    def __init__(self) -> None:
        self.masks: list[Tensor] = []

    def __call__(self, masked: Tensor, mask: Tensor) -> Tensor:
        self.masks += list(mask[:, 0])
        return box9(masked, mask)


@pytest.fixture(scope="module")
def both() -> tuple[ReleasedScores, list[Tensor]]:
    """The oracle's two images in one batch, and the masks in the order of use."""
    recorder = Recorder()
    return released_inference(recorder, oracle("image"), RELEASED), recorder.masks


# --- the authors' numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["good", "defect"])
def test_every_number_of_the_released_inference(
    both: tuple[ReleasedScores, list[Tensor]], kind: str
) -> None:
    found, index = both[0], ["good", "defect"].index(kind)
    for turn in (0, 1):
        expected = oracle(f"released_{kind}_score_unsmoothed_round{turn}")
        assert torch.allclose(found.unsmoothed[turn][index], expected, atol=1e-7)
    assert found.uncovered is not None
    assert torch.equal(found.uncovered[index], oracle(f"released_{kind}_uncovered"))
    assert torch.allclose(found.maps[index], oracle(f"released_{kind}_score"), atol=1e-7)
    assert float(found.mse[index]) == pytest.approx(float(oracle(f"released_{kind}_mse")), rel=1e-5)


@pytest.mark.parametrize(("turn", "place", "cell"), [(0, 0, 2), (0, 2, 8), (1, 3, 2), (1, 5, 8)])
@pytest.mark.parametrize("kind", ["good", "defect"])
def test_the_masks_are_the_very_ones_of_the_released_code(
    both: tuple[ReleasedScores, list[Tensor]], kind: str, turn: int, place: int, cell: int
) -> None:
    """Round 1 shows which blocks were uncovered."""
    start = 6 * place + 3 * ["good", "defect"].index(kind)
    used = torch.stack(both[1][start : start + 3])
    assert torch.equal(used, oracle(f"released_{kind}_masks_round{turn}_k{cell}"))


# --- a plain loop ---------------------------------------------------------------------------------


def plain_released(
    restore: Restore, image: Tensor, settings: ReleasedSettings
) -> tuple[list[np.ndarray], np.ndarray, float, np.ndarray | None]:
    """Section 7.1 for one image, mask by mask, without batches, opening block by block."""
    size = image.shape[-1]
    factors = [(cell / size) ** 2 for cell in settings.cells]
    cut = settings.threshold * sum(factors) / (84 / 128**2)
    uncovered = None
    history: list[np.ndarray] = []
    smoothed, mse = np.zeros(()), 0.0
    for turn in range(settings.rounds):
        last = turn == settings.rounds - 1
        accumulator = np.zeros((size, size))
        for cell, factor in zip(settings.cells, factors, strict=True):
            masks = released_partition_masks(size, cell, settings.parts, settings.seed + turn)
            if uncovered is not None:
                for y in range(0, size, 8):
                    for x in range(0, size, 8):
                        if uncovered[y : y + 8, x : x + 8].mean() > settings.ratio:
                            masks[:, y : y + 8, x : x + 8] = 1
            output = torch.zeros_like(image)
            for mask in masks:
                output += restore((image * mask)[None], mask[None, None])[0] * (1 - mask)
            if last:
                output = torch.where(output == 0, image, output)
                mse += float((image - output).square().mean())
            pyramids = gradient_pyramid(image[None]), gradient_pyramid(output[None])
            accumulator += factor * (msgms_map(*pyramids, size)[0].numpy() - 0.75)
        history.append(accumulator)
        smoothed = (
            np.stack([gaussian_filter1d(row, settings.sigma) for row in accumulator])
            if settings.rows_only
            else gaussian_filter(accumulator, settings.sigma)
        )
        if not last:
            uncovered = 255 * smoothed < -cut
    return history, smoothed, mse, uncovered


@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("rows_only", [True, False])
@pytest.mark.parametrize("stack", [1, 5, 64])
def test_a_batch_gives_what_a_plain_loop_gives(rounds: int, rows_only: bool, stack: int) -> None:
    settings = replace(SMALL, rounds=rounds, rows_only=rows_only)
    images = pictures()
    found = released_inference(box9, images, settings, stack=stack)
    assert found.maps.shape == (4, 32, 32)
    assert found.mse.shape == (4,)
    assert len(found.unsmoothed) == rounds
    shares = []
    for index, image in enumerate(images):
        history, smoothed, mse, uncovered = plain_released(box9, image, settings)
        for ours, plain in zip(found.unsmoothed, history, strict=True):
            assert np.allclose(ours[index].numpy(), plain, atol=1e-6)
        assert np.allclose(found.maps[index].numpy(), smoothed, atol=1e-6)
        assert float(found.mse[index]) == pytest.approx(mse, rel=1e-4)
        assert (found.uncovered is None) == (uncovered is None)
        if found.uncovered is not None and uncovered is not None:
            assert np.array_equal(found.uncovered[index].numpy(), uncovered)
            shares.append(uncovered.mean())
    if rounds == 2:
        assert min(shares) < 0.2, "the pictures must put the refinement to work"
        assert max(shares) > 0.5, "the pictures must put the refinement to work"


def test_one_round_is_plain_in_painting() -> None:
    images = pictures()
    found = released_inference(box9, images, replace(SMALL, rounds=1))
    assert found.uncovered is None
    assert len(found.unsmoothed) == 1
    two = released_inference(box9, images, replace(SMALL, rounds=2))
    assert torch.equal(found.unsmoothed[0], two.unsmoothed[0])
    assert not torch.allclose(found.maps, two.maps)


def test_uncovered_blocks_are_visible_in_every_mask_of_the_last_round() -> None:
    recorder = Recorder()
    images = pictures()[1:2]
    found = released_inference(recorder, images, SMALL)
    assert found.uncovered is not None
    blocks = found.uncovered[0].unfold(0, 8, 8).unfold(1, 8, 8).mean(dim=(-2, -1)) > 0.8
    opened = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)
    assert 0 < opened.float().mean() < 1
    last = torch.stack(recorder.masks[-3 * len(SMALL.cells) :])
    assert bool((last[:, opened] == 1).all())
    # Elsewhere the masks of each cell size still hide every pixel exactly once.
    hidden = (1 - last).view(len(SMALL.cells), 3, 32, 32).sum(dim=1)
    assert bool((hidden[:, ~opened] == 1).all())
    # The composite that is judged equals the input on the uncovered blocks.
    squared = 0.0
    for masks in last.view(len(SMALL.cells), 3, 32, 32):
        parts = [box9(images * mask, mask[None, None]) * (1 - mask) for mask in masks]
        error = (torch.stack(parts).sum(dim=0) - images)[0].square().mean(dim=0)
        squared += float(error[~opened].sum()) / error.numel()
    assert float(found.mse) == pytest.approx(squared, rel=1e-4)


def test_the_composite_is_the_input_where_all_is_uncovered() -> None:
    """Then nothing is left to compare: no error in the last round at all."""
    images = pictures()[:2]
    opened = released_inference(box9, images, replace(SMALL, threshold=-1e6))
    assert opened.uncovered is not None
    assert bool(opened.uncovered.all())
    assert torch.equal(opened.mse, torch.zeros(2, dtype=torch.float64))
    perfect = -0.75 * sum((cell / 32) ** 2 for cell in SMALL.cells)
    assert torch.allclose(opened.maps, torch.tensor(perfect), atol=1e-6)
    closed = released_inference(box9, images, replace(SMALL, threshold=1e6))
    assert closed.uncovered is not None
    assert not closed.uncovered.any()
    assert bool((closed.mse > 0).all())


# --- the arithmetic of section 7.1 ----------------------------------------------------------------


def weights(settings: ReleasedSettings, size: int) -> dict[int, float]:
    """The weight of each cell size, measured: a perfect restoration scores minus 3/4 of it."""

    def perfect(cells: Sequence[int]) -> float:
        image = torch.full((1, 3, size, size), 0.5)
        chosen = replace(settings, cells=tuple(cells), rounds=1)
        found = released_inference(lambda v, _: torch.full_like(v, 0.5), image, chosen)
        return float(found.maps[0, size // 2, size // 2])

    return {cell: perfect([cell]) / -0.75 for cell in settings.cells}


def test_the_scales_weigh_5_19_and_76_percent() -> None:
    found = weights(RELEASED, 128)
    shares = [100 * weight / sum(found.values()) for weight in found.values()]
    assert shares == pytest.approx([4.8, 19.0, 76.2], abs=0.05)
    assert 255 * -0.75 * sum(found.values()) == pytest.approx(-0.9805, abs=5e-5)


def test_the_threshold_stands_for_a_weighted_error_of_0_0157() -> None:
    total = sum(weights(RELEASED, 128).values())
    error = 0.75 - RELEASED.threshold / (255 * total)
    assert error == pytest.approx(0.015703, abs=1e-6)


def _uncovers_at(error: float, settings: ReleasedSettings, size: int) -> bool:
    """Whether a weighted error that is the same everywhere counts as normal.

    The stand-in restores vertical stripes with a gradient that is too weak by a known amount.
    """
    # GMS is the same at every interior pixel of a ramp; search the slope that gives the error.
    ramp = torch.linspace(0, 1, size)
    image = ramp.expand(1, 3, size, size)
    settings = replace(settings, sigma=0.0)

    def mean_error(slope: float) -> float:
        pyramids = gradient_pyramid(image), gradient_pyramid(image * slope)
        return float(msgms_map(*pyramids, size)[0, size // 2, size // 2])

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_error(middle) > error else (low, middle)
    weak = image[:, :1] * high
    found = released_inference(
        lambda v, _: weak.expand(len(v), 3, size, size), image, settings, stack=64
    )
    assert found.uncovered is not None
    return bool(found.uncovered[0, size // 2, size // 2])


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (RELEASED, 128),
        (replace(RELEASED, cells=(2, 4, 8, 16)), 256),
        (replace(RELEASED, cells=(4, 8)), 64),
        (replace(RELEASED, equal_weights=True), 64),
    ],
    ids=["released", "256 pixels", "other cells", "equal weights"],
)
def test_the_cut_is_the_same_error_at_every_size_and_weighting(
    settings: ReleasedSettings, size: int
) -> None:
    assert _uncovers_at(0.0155, settings, size)
    assert not _uncovers_at(0.0159, settings, size)


def test_equal_weights_average_the_cell_sizes() -> None:
    images = pictures()
    settings = replace(SMALL, rounds=1, sigma=0.0)
    alone = [
        released_inference(box9, images, replace(settings, cells=(cell,), equal_weights=True)).maps
        for cell in SMALL.cells
    ]
    together = released_inference(box9, images, replace(settings, equal_weights=True)).maps
    assert torch.allclose(together, torch.stack(alone).mean(dim=0), atol=1e-6)
