"""The demo data: deterministic, honest about its defects, and split without a shared pixel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.demo import SURFACES, make_surface_dataset
from oddlens.demo.defects import DEFECTS, TOLERANCE, add_defect
from oddlens.demo.surfaces import CROP, crops, photograph, regions
from oddlens.errors import DataError, UsageError
from oddlens.images import read_layout, read_mask


def _small(out: Path, **options: object) -> Path:
    return make_surface_dataset(out, n_train=4, n_good=3, n_defective=7, **options)  # type: ignore[arg-type]


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
        mask = read_mask(image.mask, (CROP, CROP))
        assert 0.003 <= mask.mean() < 0.5


def test_readme_says_that_the_defects_are_made(tmp_path: Path) -> None:
    text = (_small(tmp_path / "bricks") / "README.txt").read_text(encoding="utf-8")
    assert "DEFECTS ARE MADE" in text
    assert all(kind in text for kind in DEFECTS)


@pytest.mark.parametrize("size", [64, 200])
def test_size_is_the_size_of_images_and_masks(tmp_path: Path, size: int) -> None:
    root = _small(tmp_path / "bricks", size=size)
    sizes = {Image.open(path).size for path in root.rglob("*.png")}
    assert sizes == {(size, size)}


def test_training_and_test_images_share_no_pixel_of_the_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the training part painted bright and the rest black, no image may show the other."""
    border = regions(512)[0].right
    painted = np.where(np.arange(512) < border, 200, 0).astype(np.uint8)
    monkeypatch.setattr("oddlens.demo.surfaces.photograph", lambda name: np.tile(painted, (512, 1)))
    root = make_surface_dataset(tmp_path / "painted", n_train=60, n_good=60, n_defective=5)
    for path in (root / "train").rglob("*.png"):
        assert np.asarray(Image.open(path)).min() > 180
    for image in read_layout(root).test:
        pixels = np.asarray(Image.open(image.path))
        outside = read_mask(image.mask, None) if image.mask else np.zeros(pixels.shape, bool)
        assert pixels[~outside].max() <= TOLERANCE


def _strengths() -> list[tuple[str, int]]:
    return [(kind, strength) for kind in DEFECTS for strength in range(3)]


@pytest.mark.parametrize(("kind", "strength"), _strengths())
@pytest.mark.parametrize("surface", SURFACES)
def test_mask_is_where_pixels_changed(surface: str, kind: str, strength: int) -> None:
    picture = photograph(surface)
    _, test = regions(picture.shape[1])
    donors = [photograph("coffee"), photograph("coins")]
    for seed, before in enumerate(crops(picture, test, 3, CROP, [strength, 9])):
        rng = np.random.default_rng([seed, strength])
        after, mask = add_defect(before, kind, strength=strength, rng=rng, donors=donors)
        change = np.abs(after.astype(int) - before.astype(int))
        assert change[~mask].max() <= TOLERANCE
        # Inside, a piece may happen to be as bright as what it covers, and gaps are filled.
        assert (change[mask] > TOLERANCE).mean() > 0.5
        assert change[mask].mean() > 8


def test_stronger_defects_change_more() -> None:
    picture = photograph("brick")
    _, test = regions(picture.shape[1])
    donors = [photograph("coffee")]
    for kind in ("scratch", "dent", "stain"):
        means = []
        for strength in range(3):
            changes = []
            for seed, before in enumerate(crops(picture, test, 8, CROP, [5])):
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
    [({"surface": "marble"}, "brick"), ({"size": 8}, "size"), ({"seed": -1}, "seed")],
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
