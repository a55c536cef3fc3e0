from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.errors import DataError
from oddlens.images import CheckReport, check_folder

BOTTLE = Path(__file__).parents[3] / "shared" / "data" / "mvtec_ad" / "bottle"
RNG = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray | None = None, side: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mask(marked: int = 50, side: int = 40) -> np.ndarray:
    values = np.zeros((side, side), np.uint8)
    values.flat[:marked] = 255
    return values


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A set in MVTec's layout with nothing wrong with it."""
    for index in range(20):
        save(tmp_path / f"train/good/{index}.png")
    for index in range(3):
        save(tmp_path / f"test/good/{index}.png")
        save(tmp_path / f"test/crack/{index}.png")
        save(tmp_path / f"ground_truth/crack/{index}_mask.png", mask())
    return tmp_path


def told(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.severity, problem.path) for problem in report.problems]


def the(report: CheckReport, path: str) -> str:
    (message,) = [problem.message for problem in report.problems if problem.path == path]
    return message


def test_a_sound_set_has_no_problems(sound: Path) -> None:
    report = check_folder(sound)
    assert report.problems == ()
    assert report.ok
    summary = report.summary
    assert (summary.layout, summary.images, summary.masks, summary.unreadable) == (
        "mvtec",
        26,
        3,
        0,
    )
    assert summary.folders == {"test/crack": 3, "test/good": 3, "train/good": 20}
    assert summary.sizes == {"40x40": 26}
    assert (summary.grey, summary.colour) == (0, 26)


def test_a_plain_folder(tmp_path: Path) -> None:
    for index in range(20):
        save(tmp_path / f"{index}.png")
    save(tmp_path / "ground_truth" / "x.png")  # only MVTec's layout makes this a mask
    (tmp_path / "notes.txt").touch()
    report = check_folder(str(tmp_path))
    assert report.problems == ()
    assert report.summary.layout == "folder"
    assert report.summary.folders == {".": 20, "ground_truth": 1}
    assert report.summary.ignored == {".txt": 1}


def test_unreadable_files_are_errors_with_reasons(sound: Path) -> None:
    (sound / "train/good/21.png").touch()
    (sound / "test/good/9.png").write_text("hello")
    (sound / "ground_truth/crack/1_mask.png").write_bytes(b"\x89PNG")
    report = check_folder(sound)
    assert not report.ok
    assert told(report) == [
        ("error", "ground_truth/crack/1_mask.png"),
        ("error", "test/good/9.png"),
        ("error", "train/good/21.png"),
    ]
    assert the(report, "train/good/21.png") == "is empty (0 bytes)"
    assert report.summary.unreadable == 2
    assert report.summary.images == 28


def test_a_leak_from_training_into_the_test_is_found_across_formats(sound: Path) -> None:
    pixels = np.asarray(Image.open(sound / "train/good/7.png"))
    save(sound / "test/good/copy.bmp", pixels)
    report = check_folder(sound)
    assert told(report) == [("error", "test/good/copy.bmp")]
    assert "same picture as train/good/7.png: a leak" in report.problems[0].message


def test_a_picture_cannot_be_both_normal_and_a_defect(sound: Path) -> None:
    save(sound / "test/crack/1.png", np.asarray(Image.open(sound / "test/good/0.png")))
    report = check_folder(sound)
    assert told(report) == [("error", "test/crack/1.png")]
    assert "cannot be both" in report.problems[0].message


def test_mere_repeats_are_warnings(sound: Path) -> None:
    pixels = np.asarray(Image.open(sound / "train/good/0.png"))
    for name in ("train/good/20.png", "train/good/21.png"):
        save(sound / name, pixels)
    report = check_folder(sound)
    assert told(report) == [("warning", "train/good/20.png"), ("warning", "train/good/21.png")]
    assert report.ok
    assert report.problems[1].message == "is the same picture as train/good/0.png"


def test_equal_bytes_in_another_shape_are_another_picture(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (40, 80, 3), dtype=np.uint8)
    save(tmp_path / "a.png", pixels)
    save(tmp_path / "b.png", pixels.reshape(80, 40, 3))
    assert not any("same picture" in problem.message for problem in check_folder(tmp_path).problems)


def test_masks_that_are_missing_wrong_empty_grey_or_left_over(sound: Path) -> None:
    for index in range(3, 7):
        save(sound / f"test/crack/{index}.png")
    save(sound / "ground_truth/crack/3_mask.png", mask(side=20))
    save(sound / "ground_truth/crack/4_mask.png", mask(0))
    save(sound / "ground_truth/crack/5_mask.png", np.arange(1600).reshape(40, 40).astype(np.uint8))
    save(sound / "ground_truth/crack/99_mask.png", mask())
    save(sound / "test/blot/0.png")
    report = check_folder(sound)
    assert told(report) == [
        ("error", "ground_truth/crack/3_mask.png"),
        ("warning", "ground_truth/crack/4_mask.png"),
        ("warning", "ground_truth/crack/5_mask.png"),
        ("warning", "ground_truth/crack/99_mask.png"),
        ("warning", "test/blot"),
        ("warning", "test/crack/6.png"),
    ]
    assert "20 x 20 pixels, but its image test/crack/3.png is 40 x 40" in report.problems[0].message
    assert "empty" in the(report, "ground_truth/crack/4_mask.png")
    assert "not binary (256 values)" in the(report, "ground_truth/crack/5_mask.png")
    assert "without an image" in the(report, "ground_truth/crack/99_mask.png")
    assert "no masks in ground_truth/blot" in the(report, "test/blot")
    assert "no mask ground_truth/crack/6_mask.png" in the(report, "test/crack/6.png")


def test_mixed_sizes_and_colours_are_told_once(sound: Path) -> None:
    save(sound / "train/good/20.png", RNG.integers(0, 256, (40, 60), dtype=np.uint8))
    report = check_folder(sound)
    assert told(report) == [("warning", "."), ("warning", ".")]
    sizes, colours = (problem.message for problem in report.problems)
    assert "2 sizes (the commonest, 40 x 40, 26 times)" in sizes
    assert "distorts" in sizes
    assert "1 grey image with 26 in colour (for example train/good/20.png)" in colours


def test_odd_images_are_told(tmp_path: Path) -> None:
    for index in range(20):
        save(tmp_path / f"{index}.png", RNG.integers(0, 65536, (40, 40), dtype=np.uint16))
    save(tmp_path / "12bit.png", RNG.integers(0, 4096, (40, 40), dtype=np.uint16))
    save(tmp_path / "flat.png", np.full((40, 40), 7, np.uint8))
    save(tmp_path / "small.png", RNG.integers(0, 256, (40, 31), dtype=np.uint8))
    report = check_folder(tmp_path)
    assert "12-bit" in the(report, "12bit.png")
    assert "one colour" in the(report, "flat.png")
    assert "only 31 x 40 pixels" in the(report, "small.png")
    assert report.ok


@pytest.mark.parametrize(("count", "severity"), [(3, "error"), (19, "warning"), (20, None)])
def test_too_few_images(tmp_path: Path, count: int, severity: str | None) -> None:
    for index in range(count):
        save(tmp_path / f"{index}.png")
    assert told(check_folder(tmp_path)) == ([(severity, ".")] if severity else [])


def test_a_broken_layout_and_stray_training_images_are_told(sound: Path) -> None:
    (sound / "test/good").rename(sound / "test/fine")
    save(sound / "train/other/0.png")
    report = check_folder(sound)
    assert "test/good: no such folder" in the(report, ".")
    assert "1 image outside train/good" in the(report, "train")


def test_pictures_of_other_kinds_are_not_passed_over_in_silence(sound: Path) -> None:
    save(sound / "train/good/a.gif", mask())
    report = check_folder(sound)
    assert told(report) == [("warning", ".")]
    assert "1 .gif file, which are not read" in report.problems[0].message


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder"):
        check_folder(tmp_path / "none")
    with pytest.raises(DataError, match="no images in"):
        check_folder(tmp_path)


def test_progress_and_json(sound: Path) -> None:
    (sound / "train/good/0.png").write_bytes(b"")
    calls: list[tuple[str, int, int]] = []

    def note(phase: str, done: int, total: int) -> None:
        calls.append((phase, done, total))

    report = check_folder(sound, progress=note)
    assert calls[0] == ("checking images", 1, 26)
    assert calls[25:] == [("checking images", 26, 26)] + [
        ("checking masks", done, 3) for done in (1, 2, 3)
    ]
    plain = json.loads(report.to_json())
    assert plain["ok"] is False
    assert plain["summary"]["images"] == 26
    assert {"severity": "error", "path": "train/good/0.png", "message": "is empty (0 bytes)"} in (
        plain["problems"]
    )


@pytest.mark.real_data
@pytest.mark.skipif(not BOTTLE.is_dir(), reason="MVTec AD bottle is not beside the repository")
def test_the_bottle_is_sound() -> None:
    report = check_folder(BOTTLE)
    assert [problem for problem in report.problems if problem.severity == "error"] == []
    assert report.summary.images == 292
    assert report.summary.masks == 63
