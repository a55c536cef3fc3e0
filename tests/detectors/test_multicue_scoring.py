"""What MultiCue sees in an image: cues, maps, statistics, and that they survive."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import oddlens
from oddlens.detectors import METHODS
from oddlens.detectors.multicue_pieces import Look
from tests.detectors.tiny_multicue import (
    SIDE,
    adapted,
    as_batch,
    as_cache,
    ignore,
    pictures,
    tiny,
)

CUES = {"puzzle": "structure", "tint": "colour", "recolorization": "texture"}


@pytest.mark.parametrize(
    "tasks", [tuple(CUES), ("puzzle", "tint"), ("tint", "recolorization"), ("recolorization",)]
)
def test_a_cue_and_a_map_for_each_task(tasks: tuple[str, ...]) -> None:
    cues = tiny(tasks=tasks).raw_cues(as_batch(pictures(5)))
    assert set(cues.scores) == set(cues.maps) == {CUES[task] for task in tasks}
    for maps in cues.maps.values():
        assert maps.shape == (5, SIDE, SIDE)
        assert bool(maps.isfinite().all())


@pytest.mark.parametrize("ood", ["combined", "softmax_truth", "mahalanobis"])
def test_scores_do_not_depend_on_the_other_images_of_the_batch(ood: str) -> None:
    detector = tiny(ood=ood, tint_ood="mahalanobis" if ood == "mahalanobis" else "expected_error")
    images = as_batch(pictures(6))
    whole = detector.raw_cues(images)
    parts = [detector.raw_cues(images[i : i + 1]) for i in range(6)]
    for name, scores in whole.scores.items():
        torch.testing.assert_close(scores, torch.cat([part.scores[name] for part in parts]))
        maps = torch.cat([part.maps[name] for part in parts])
        torch.testing.assert_close(whole.maps[name], maps, rtol=1e-4, atol=1e-4)


def test_structure_is_the_mean_over_pieces_and_passes_of_what_is_missing_to_certainty() -> None:
    literal = {"ood": "softmax_truth"}
    detector, images = tiny(weighting="plain", **literal), as_batch(pictures(3))
    look = detector._tasks.fixed(detector.pieces, images)
    wanted = 1 - look.position.double().softmax(-1).gather(-1, look.order[..., None])[..., 0]
    scores = detector.raw_cues(images).scores["structure"]
    torch.testing.assert_close(scores, wanted.view(2, 3, 9).mean(dim=(0, 2)))
    weighted = tiny(**literal).raw_cues(images).scores["structure"]
    torch.testing.assert_close(
        weighted, (look.attention.double() * wanted).sum(1).view(2, 3).mean(0)
    )


def test_a_solved_puzzle_scores_0_and_a_wrong_piece_shows_in_its_original_place() -> None:
    detector, images = tiny(tasks=("puzzle",), ood="softmax_truth"), as_batch(pictures(2))
    look = detector._tasks.fixed(detector.pieces, images)
    solved = 60 * torch.nn.functional.one_hot(look.order, 9).float()

    def evidence(position: torch.Tensor) -> tuple[torch.Tensor, Look]:
        known = look._replace(position=position)
        return detector.evidence.structure(known).pieces, known

    assert float(evidence(solved)[0].abs().max()) < 1e-12
    wrong = torch.where((look.order == 5)[..., None], -solved, solved)  # piece 5 in every pass
    found = detector._tasks.located(*evidence(wrong), 2)
    cell = SIDE // 3
    row, column = cell, 2 * cell
    assert float(found[:, row : row + cell, column : column + cell].min()) > 0.99
    found[:, row : row + cell, column : column + cell] = 0
    assert float(found.max()) < 1e-6


def test_mahalanobis_statistics_come_from_training_images() -> None:
    detector = tiny(ood="mahalanobis", tint_ood="mahalanobis", statistics_images=20)
    assert detector.images_to_adapt(40, 6) == 6 + 2 * 20  # the answers, then the maps
    images = as_batch(pictures(40)[::2])
    before = detector.raw_cues(images).scores
    with pytest.warns(UserWarning, match="not learned"), torch.no_grad():
        detector.adapt(as_cache(pictures(40)), as_cache(pictures(6, 1)), ignore)
    after = detector.raw_cues(images).scores
    assert not torch.allclose(before["structure"], after["structure"])
    evidence = detector.evidence
    looks = detector._tasks.fixed(detector.pieces, images)
    logits, labels = looks.position.flatten(0, 1).double(), looks.order.flatten()
    means = torch.stack([logits[labels == c].mean(dim=0) for c in range(9)])
    torch.testing.assert_close(
        detector.evidence.get_buffer("puzzle_means"), means, rtol=1e-3, atol=1e-4
    )
    within = (logits - means[labels]).T.cov(correction=0) + 1e-4 * torch.eye(9)
    torch.testing.assert_close(
        torch.linalg.inv(evidence.get_buffer("puzzle_precision")),
        within,
        rtol=1e-2,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("options", "looks"),
    [
        ({}, 3),
        ({"ood": "softmax_truth"}, 1),
        ({"tasks": ("tint",)}, 1),
        ({"tasks": ("tint",), "tint_ood": "mahalanobis"}, 2),
        ({"tasks": ("puzzle",), "ood": "softmax_truth", "tint_ood": "mahalanobis"}, 1),
        ({"tasks": ("recolorization",), "places": False}, 0),
    ],
)
def test_it_looks_as_often_as_its_tasks_need_and_tells_when_it_is_through(
    options: dict[str, object], looks: int
) -> None:
    detector, told = tiny(**options), list[tuple[int, int]]()
    assert detector.images_to_adapt(20, 6) == 6 + looks * 20
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        detector.adapt(
            as_cache(pictures(20)), as_cache(pictures(6, 1)), lambda *count: told.append(count)
        )
    assert told[-1] == (6 + looks * 20, 6 + looks * 20)


def test_combined_is_the_weighted_truth_and_the_distance_of_features_in_standard_deviations() -> (
    None
):
    detector = adapted(tasks=("puzzle",))
    assert detector.images_to_adapt(40, 6) == 6 + 3 * 40
    normal, images = as_batch(pictures(40)), as_batch(pictures(5, 2))

    def terms(given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        look = detector._tasks.fixed(detector.pieces, given)
        count = len(given)
        solved = look.position.double().softmax(-1).gather(-1, look.order[..., None])[..., 0]

        def by_image(values: torch.Tensor) -> torch.Tensor:  # slots of all passes side by side
            return values.view(2, count, 9, *values.shape[2:]).transpose(0, 1).flatten(1, 2)

        return by_image(solved), by_image(look.features.double())

    solved, features = terms(normal)
    weight = solved.mean(dim=0) ** 4
    weight = weight / weight.mean()
    means = features.mean(dim=0)
    away = (features - means).flatten(0, 1)
    covariance, width, count = away.T @ away / len(away), away.shape[1], len(away)
    share = width / (width + count)
    identity = torch.eye(width, dtype=torch.float64)
    covariance = (1 - share) * covariance + share * covariance.diagonal().mean() * identity
    precision = torch.linalg.inv(covariance + 1e-4 * identity)

    def both(given: torch.Tensor) -> torch.Tensor:
        solved, features = terms(given)
        off = features - means
        distance = torch.einsum("nsi,ij,nsj->ns", off, precision, off) / width
        return torch.stack([(weight * (1 - solved)).mean(1), distance.mean(1)])

    scales = both(normal).std(dim=1, correction=0)
    wanted = (both(images) / scales[:, None]).sum(dim=0)
    found = detector.raw_cues(images).scores["structure"]
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tasks", [("puzzle", "tint"), ("recolorization",)])
def test_maps_are_deviations_from_what_is_normal_at_each_place(tasks: tuple[str, ...]) -> None:
    detector, raw = adapted(tasks=tasks), adapted(tasks=tasks, places=False)
    normal = as_batch(pictures(40))
    for name, maps in raw.raw_cues(normal).maps.items():
        mean, variance = maps.mean(dim=0), maps.var(dim=0, correction=0)
        wanted = (maps - mean) / ((variance + variance.mean()) / 2).sqrt()
        found = detector.raw_cues(normal).maps[name]
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)
        scores = raw.raw_cues(normal).scores[name]
        torch.testing.assert_close(detector.raw_cues(normal).scores[name], scores)


def test_what_is_monitored() -> None:
    detector, images = tiny(), as_batch(pictures(6))
    generator = torch.Generator()
    with torch.no_grad():
        found = detector.monitor_pieces(images, generator)
        colours = detector.monitor_colours(images, generator)
    assert set(found) == {"puzzle accuracy", "tint accuracy", "attention entropy"}
    assert all(0 <= value <= 1 for value in found.values())
    assert list(colours) == ["recolorization nll"]
    assert "attention entropy" not in tiny(attention="off").monitor_pieces(images, generator)


def test_a_collapsed_attention_map_is_told_of() -> None:
    detector = tiny(tasks=("puzzle",))
    detector.pieces.attention.weight.data *= 1000
    with pytest.warns(UserWarning, match="collapsed"), torch.no_grad():
        detector.adapt(as_cache(pictures(8)), as_cache(pictures(6, 1)), ignore)


@pytest.mark.filterwarnings("ignore:task .* was not learned", "ignore:cue .* is only shifted")
def test_a_fit_repeats_itself_and_survives_saving_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "multicue", "oddlens.detectors.multicue:MultiCue")
    normal, test = pictures(40), pictures(5, 1)
    first, second = (tiny().fit(normal, epochs=1, seed=3, device="cpu") for _ in range(2))
    scores = first.score(test)
    assert np.array_equal(scores, second.score(test))
    first.save(tmp_path / "model")
    loaded = oddlens.load(tmp_path / "model")
    assert np.array_equal(loaded.score(test), scores)
    assert torch.equal(loaded.get_buffer("orders"), first.orders)
    predictions = loaded.predict(test)
    assert predictions.maps is not None
    assert len(predictions) == 5
    assert "on held-out normals" in first.fit_report["diagnostics"]
