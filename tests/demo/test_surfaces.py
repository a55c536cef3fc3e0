"""The demo data: deterministic, honest about its defects, and no two tiles share a pixel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.demo import SURFACES, make_surface_dataset
from oddlens.demo.defects import DEFECTS, TOLERANCE, add_defect
from oddlens.demo.surfaces import GRID, deal, deal_defects, photograph, tiles
from oddlens.errors import DataError, UsageError
from oddlens.images import read_layout, read_mask


def _small(out: Path, **options: object) -> Path:
    counts = {"size": 64, "n_train": 4, "n_good": 3, "n_defective": 7}
    return make_surface_dataset(out, **{**counts, **options})  # type: ignore[arg-type]


def _hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first, second = _hashes(_small(tmp_path / "a")), _hashes(_small(tmp_path / "b"))
    assert first == second
    other = _hashes(_small(tmp_path / "c", seed=1))
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first if name.startswith("t"))


def test_layout_is_read_as_mvtec_layout(tmp_path: Path) -> None:
    root = _small(tmp_path / "bricks")
    layout = read_layout(root)
    assert len(layout.train) == 4
    normal = [image for image in layout.test if not image.is_anomaly]
    broken = [image for image in layout.test if image.is_anomaly]
    assert (len(normal), len(broken)) == (3, 7)
    assert {image.defect for image in broken} == set(DEFECTS)
    for image in broken:
        assert image.mask is not None
        mask = read_mask(image.mask, (64, 64))
        assert 0.003 <= mask.mean() < 0.5


def test_readme_says_that_the_defects_are_made(tmp_path: Path) -> None:
    text = (_small(tmp_path / "bricks") / "README.txt").read_text(encoding="utf-8")
    assert "DEFECTS ARE MADE" in text
    assert all(kind in text for kind in DEFECTS)


def test_readme_says_that_tiles_repeat_and_intervals_are_too_narrow(tmp_path: Path) -> None:
    text = (_small(tmp_path / "bricks") / "README.txt").read_text(encoding="utf-8")
    assert "The 10 test images show only 3 tiles." in text
    assert "too narrow" in text


@pytest.mark.parametrize("size", [64, 200])
def test_size_is_the_size_of_images_and_masks(tmp_path: Path, size: int) -> None:
    root = _small(tmp_path / "bricks", size=size)
    sizes = {Image.open(path).size for path in root.rglob("*.png")}
    assert sizes == {(size, size)}


def _painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph whose every tile has a grey of its own, left-over borders none of these."""
    side = 512 // GRID
    row, column = np.divmod(np.arange(GRID**2), GRID)
    picture = np.full((512, 512), 255, np.uint8)
    for grey, (y, x) in enumerate(zip(row * side, column * side, strict=True)):
        picture[y : y + side, x : x + side] = 2 * grey
    monkeypatch.setattr("oddlens.demo.surfaces.photograph", lambda name: picture)


def test_no_two_normal_images_share_a_pixel_of_the_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that any division into training, calibration and test is one without shared pixels."""
    _painted(monkeypatch)
    root = make_surface_dataset(tmp_path / "painted", size=51, n_defective=1)
    shown = {
        path: set(np.unique(np.asarray(Image.open(path))).tolist()) for path in root.rglob("good/*")
    }
    assert len(shown) == GRID**2
    assert all(len(greys) == 1 for greys in shown.values())
    assert len(set().union(*shown.values())) == GRID**2


def test_every_defect_is_made_on_a_normal_test_image(tmp_path: Path) -> None:
    root = _small(tmp_path / "bricks")
    normal = {Image.open(path).tobytes() for path in (root / "test" / "good").iterdir()}
    for image in read_layout(root).test:
        if image.mask is None:
            continue
        pixels, mask = np.asarray(Image.open(image.path)).astype(int), read_mask(image.mask, None)
        changes = [
            np.abs(np.frombuffer(each, np.uint8).reshape(pixels.shape) - pixels)[~mask].max()
            for each in normal
        ]
        assert min(changes) <= TOLERANCE


def test_chance_deals_the_tiles(tmp_path: Path) -> None:
    """Anywhere in the photograph, and a tile is either learned from or tested on."""
    dealt = [deal(seed, 60, 40) for seed in range(200)]
    assert all(sorted([*train, *test]) == list(range(GRID**2)) for train, test in dealt)
    tested = np.bincount(np.concatenate([test for _, test in dealt]), minlength=GRID**2)
    # Binomial, 200 deals at 0.4: 80 on average, and five deviations of 6.9 to either side.
    assert 45 < tested.min() < tested.max() < 115


def test_no_tile_is_bound_to_a_kind_of_defect() -> None:
    dealt = [deal_defects(seed, 40, 60) for seed in range(200)]
    # Twelve images of a kind are on twelve tiles: what a tile has twice is of two kinds.
    assert all(len(set(one)) == 60 for one in dealt)
    pairs = np.zeros((len(DEFECTS), 40), int)
    for kind, tile in (each for one in dealt for each in one):
        pairs[DEFECTS.index(kind), tile] += 1
    # Binomial, 200 deals at 12 of 40: 60 on average, and five deviations of 6.5 to either side.
    assert 27 < pairs.min() <= pairs.max() < 93


def test_kinds_are_dealt_apart_from_each_other() -> None:
    """No kind follows another over the tiles: first tiles agree no more often than by luck."""
    firsts = np.array([[tile for _, tile in deal_defects(seed, 40, 5)] for seed in range(200)])
    agree = [
        int((firsts[:, one] == firsts[:, other]).sum()) for one in range(5) for other in range(one)
    ]
    assert max(agree) < 20  # Binomial, 200 deals at 1 of 40: 5 on average.


def test_more_defects_than_tiles_come_round_evenly() -> None:
    dealt = deal_defects(3, 2, 25)
    assert [kind for kind, _ in dealt] == list(DEFECTS) * 5
    for kind in DEFECTS:
        counts = np.bincount([tile for each, tile in dealt if each == kind])
        assert sorted(counts) == [2, 3]


def test_the_images_are_as_they_were_dealt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _painted(monkeypatch)
    root = make_surface_dataset(tmp_path / "painted", size=51, seed=2)
    dealt = deal_defects(2, 40, 60)
    for index, (kind, tile) in enumerate(dealt):
        before = np.asarray(Image.open(root / "test" / "good" / f"{tile:03d}.png"))
        name = f"{index // len(DEFECTS):03d}"
        after = np.asarray(Image.open(root / "test" / kind / f"{name}.png"))
        mask = np.asarray(Image.open(root / "ground_truth" / kind / f"{name}_mask.png")) > 0
        assert np.abs(after.astype(int) - before)[~mask].max() <= TOLERANCE


def _strengths() -> list[tuple[str, int]]:
    return [(kind, strength) for kind in DEFECTS for strength in range(3)]


@pytest.mark.parametrize(("kind", "strength"), _strengths())
@pytest.mark.parametrize("surface", SURFACES)
def test_mask_is_where_pixels_changed(surface: str, kind: str, strength: int) -> None:
    donors = [photograph("coffee"), photograph("coins")]
    for seed, before in enumerate(tiles(photograph(surface), 128)[strength::33]):
        rng = np.random.default_rng([seed, strength])
        after, mask = add_defect(before, kind, strength=strength, rng=rng, donors=donors)
        change = np.abs(after.astype(int) - before.astype(int))
        assert change[~mask].max() <= TOLERANCE
        # Inside, a piece may happen to be as bright as what it covers, and gaps are filled.
        assert (change[mask] > TOLERANCE).mean() > 0.5
        assert change[mask].mean() > 8


def test_stronger_defects_change_more() -> None:
    some = tiles(photograph("brick"), 128)[::12]
    donors = [photograph("coffee")]
    for kind in ("scratch", "dent", "stain"):
        means = []
        for strength in range(3):
            changes = []
            for seed, before in enumerate(some):
                rng = np.random.default_rng(seed)
                after, mask = add_defect(before, kind, strength=strength, rng=rng, donors=donors)
                changes.append(np.abs(after.astype(int) - before)[mask].mean())
            means.append(np.mean(changes))
        assert means[0] < means[1] < means[2], kind


def test_a_flat_image_does_not_loop_forever() -> None:
    flat = np.full((64, 64), 120, np.uint8)
    after, mask = add_defect(flat, "smear", strength=0, rng=np.random.default_rng(0), donors=[flat])
    assert not mask.any()
    np.testing.assert_array_equal(after, flat)


def test_made_again_it_is_left_alone(tmp_path: Path) -> None:
    root = _small(tmp_path / "bricks")
    stamp = (root / "README.txt").stat().st_mtime_ns
    assert _small(root) == root
    assert (root / "README.txt").stat().st_mtime_ns == stamp


def test_a_folder_with_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="something else"):
        _small(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    root = _small(tmp_path / "bricks")
    with pytest.raises(DataError, match="something else"):
        _small(root, seed=1)


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oddlens.demo.surfaces._write_readme", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _small(tmp_path / "bricks")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"surface": "marble"}, "brick"),
        ({"size": 8}, "size"),
        ({"seed": -1}, "seed"),
        ({"n_good": 0}, "n_good"),
        ({"n_train": 98}, "101 together"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        _small(tmp_path / "x", **options)


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oddlens.demo.surfaces._save", full)
    with pytest.raises(DataError, match="No space left"):
        _small(tmp_path / "bricks")
    assert list(tmp_path.iterdir()) == []
