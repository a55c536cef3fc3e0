from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

import oddlens.evaluation
from oddlens.errors import DataError, ImageError, Interrupted, OddlensError, UsageError
from oddlens.evaluation import Evaluation, evaluate, pixel_metrics
from oddlens.evaluation.masks import image_size
from oddlens.images import Skipped, decode
from oddlens.predictions import Predictions, PredictionWriter
from oddlens.scoring import Threshold

SIZE = (30, 40)
REAL = Path(__file__).parents[3] / "shared" / "data" / "mvtec_ad" / "bottle"


class Brightness:
    """A detector without training: how far the pixels are from grey, coarsely localized."""

    provenance: ClassVar[dict[str, object]] = {"method": "brightness", "seed": 0}

    def __init__(self, maps: bool = True, threshold: float = 0.5, shuffle: bool = False) -> None:
        self.maps = maps
        self.threshold = threshold
        self.shuffle = shuffle
        self.options: dict[str, Any] = {}

    def predict(self, images: Sequence[Path], **options: Any) -> Predictions:
        self.options = options
        rate = options["false_alarm_rate"]
        writer = PredictionWriter(Threshold(self.threshold, rate, rate, 99))
        skipped = []
        for path in images[::-1] if self.shuffle else images:
            try:
                pixels = decode(path)
            except ImageError as error:
                skipped.append(Skipped(error.name, error.reason))
                continue
            odd = np.abs(pixels[:, :, 0].astype(np.float64) - 128) / 127
            score = float(odd.max())
            small = np.asarray(Image.fromarray(odd.astype(np.float32)).resize((20, 15)))
            maps = small[None] if self.maps else None
            writer.add([str(path)], [score], [0.5], [score > self.threshold], {}, maps)
        return writer.finish(skipped)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six normal images, four with a bright patch, three with a faint one; masks for all seven."""
    rng = np.random.default_rng(0)
    root = tmp_path / "tiles"

    def noise() -> NDArray[np.float64]:
        return rng.normal(128, 12, SIZE)

    for index in range(6):
        write_image(root / f"test/good/{index}.png", noise().clip(0, 255).astype(np.uint8))
    for defect, count, strength in (("bright", 4, 100), ("faint", 3, 15)):
        for index in range(count):
            mask = np.zeros(SIZE, bool)
            mask[5 : 9 + index, 10:20] = True
            pixels = (noise() + strength * mask).clip(0, 255).astype(np.uint8)
            write_image(root / f"test/{defect}/{index}.png", pixels)
            drawn = mask.astype(np.uint8) * 255
            write_image(root / f"ground_truth/{defect}/{index}_mask.png", drawn)
    return root


METRICS = ["image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "aupro"]


def with_ends(names: Iterable[str]) -> set[str]:
    return {f"{name}{end}" for name in names for end in ("", "_low", "_high")}


def test_metrics_are_flat_and_named_as_documented(root: Path) -> None:
    metrics = evaluate(Brightness(), root, bootstrap=50).metrics
    rates = {f"false_alarm_rate_{kind}" for kind in ("wanted", "guaranteed", "seen")}
    counts = {"n_normal", "n_anomalous", "n_skipped", "n_without_mask", "ms_per_image"}
    expected = with_ends(METRICS) | rates | {"detection_rate", "provenance"} | counts
    assert set(metrics) == expected
    for name in METRICS:
        assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
    assert all(isinstance(v, int | float) for k, v in metrics.items() if k != "provenance")
    assert (metrics["n_normal"], metrics["n_anomalous"], metrics["n_skipped"]) == (6, 7, 0)
    assert metrics["ms_per_image"] > 0
    assert metrics["provenance"]["detector"] == Brightness.provenance
    assert metrics["provenance"]["dataset"] == "tiles"


def test_numbers_agree_with_the_files(root: Path) -> None:
    result = evaluate(Brightness(), root, bootstrap=0)
    scores = result.predictions.scores
    assert result.metrics["image_auroc"] == pytest.approx(roc_auc_score(result.labels, scores))
    assert result.metrics["image_auroc_low"] is None
    assert result.by_defect.keys() == {"bright", "faint"}
    assert result.by_defect["bright"] == 1.0 > result.by_defect["faint"]
    assert result.predictions.maps is not None
    pairs = []
    for name, defect, values in zip(
        result.predictions.names, result.defects, result.predictions.maps, strict=True
    ):
        drawn = root / "ground_truth" / defect / f"{Path(name).stem}_mask.png"
        mask = np.zeros(SIZE, bool) if defect == "good" else np.asarray(Image.open(drawn)) > 0
        pairs.append((values, mask))
    expected = pixel_metrics(pairs)
    assert result.metrics["pixel_auroc"] == expected.auroc > 0.7
    assert result.metrics["pixel_ap"] == expected.ap
    assert result.metrics["aupro"] == expected.aupro
    assert expected.n_normal + expected.n_anomalous == 13 * SIZE[0] * SIZE[1]


def test_rates_at_the_calibrated_threshold(root: Path) -> None:
    detector = Brightness(threshold=0.6)
    metrics = evaluate(detector, root, bootstrap=0, false_alarm_rate=0.02).metrics
    assert metrics["false_alarm_rate_seen"] == 0
    assert metrics["detection_rate"] == pytest.approx(4 / 7)
    assert metrics["false_alarm_rate_wanted"] == 0.02
    detector = Brightness(threshold=0)
    metrics = evaluate(detector, root, bootstrap=0).metrics
    assert (metrics["false_alarm_rate_seen"], metrics["detection_rate"]) == (1, 1)
    assert detector.options["false_alarm_rate"] == 0.01
    assert detector.options["on_bad"] == "skip"


def test_predictions_in_another_order_are_matched_by_name(root: Path) -> None:
    straight = evaluate(Brightness(), root, bootstrap=0)
    turned = evaluate(Brightness(shuffle=True), root, bootstrap=0)
    assert turned.defects == straight.defects[::-1]
    for name in METRICS:
        assert turned.metrics[name] == pytest.approx(straight.metrics[name], abs=1e-12)


def test_a_prediction_of_another_image_is_refused(root: Path) -> None:
    class Elsewhere(Brightness):
        def predict(self, images: Sequence[Path], **options: Any) -> Predictions:
            copy = images[0].with_name("copy.png")
            copy.write_bytes(images[0].read_bytes())
            return super().predict([*images, copy], **options)

    with pytest.raises(DataError, match=r"copy\.png: was predicted, but is not a test image"):
        evaluate(Elsewhere(), root)


def test_masks_are_read_when_asked_for(root: Path) -> None:
    result = evaluate(Brightness(), root, bootstrap=0)
    assert result.masks is not None
    assert len(result.masks) == 13
    for index, mask in enumerate(result.masks):
        assert mask is not None
        assert mask.shape == SIZE
        assert mask.any() == result.labels[index]
    assert [len(result.masks[:3]), len(result.masks[11:])] == [3, 2]


def test_unreadable_images_are_skipped_and_counted(root: Path) -> None:
    (root / "test/good/1.png").write_bytes(b"")
    (root / "test/bright/2.png").write_text("not an image")
    result = evaluate(Brightness(), root, bootstrap=10)
    assert result.metrics["n_skipped"] == 2
    assert (result.metrics["n_normal"], result.metrics["n_anomalous"]) == (5, 6)
    assert result.labels.tolist() == [False] * 5 + [True] * 6


def test_no_readable_normal_image_is_an_error(root: Path) -> None:
    for path in (root / "test/good").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"readable normal image.*test/good.*6 test images"):
        evaluate(Brightness(), root)


def test_without_masks_or_maps_there_are_image_metrics_only(root: Path) -> None:
    metrics = evaluate(Brightness(maps=False), root, bootstrap=5).metrics
    assert with_ends(METRICS[:3]) < set(metrics)
    assert not with_ends(METRICS[3:]) & set(metrics)
    for path in root.glob("ground_truth/*/*"):
        path.unlink()
    result = evaluate(Brightness(), root, bootstrap=5)
    assert result.masks is None
    assert not with_ends(METRICS[3:]) & set(result.metrics)


def test_an_anomalous_image_without_its_mask_counts_for_the_image_metrics_only(
    root: Path,
) -> None:
    before = evaluate(Brightness(), root, bootstrap=0)
    (root / "ground_truth/bright/1_mask.png").unlink()
    after = evaluate(Brightness(), root, bootstrap=0)
    assert after.metrics["n_without_mask"] == 1
    assert after.metrics["image_auroc"] == before.metrics["image_auroc"]
    assert after.metrics["pixel_auroc"] != before.metrics["pixel_auroc"]
    assert after.masks is not None
    assert [after.masks[i] is None for i in range(6, 13)] == [False, True] + [False] * 5


def test_a_mask_of_another_size_than_its_image_is_refused(root: Path) -> None:
    write_image(root / "ground_truth/bright/0_mask.png", np.full((8, 8), 255, np.uint8))
    detector = Brightness()
    with pytest.raises(DataError, match=r"0_mask\.png.*8 x 8.*40 x 30"):
        evaluate(detector, root, bootstrap=0)
    assert not detector.options  # found before the scoring, which may take hours


def test_resolution_sets_the_size_of_the_pixel_metrics(root: Path) -> None:
    own = evaluate(Brightness(), root, bootstrap=0)
    square = evaluate(Brightness(), root, bootstrap=0, resolution=16)
    assert square.metrics["image_auroc"] == own.metrics["image_auroc"]
    assert square.metrics["pixel_auroc"] != own.metrics["pixel_auroc"]
    assert square.metrics["pixel_auroc"] == pytest.approx(own.metrics["pixel_auroc"], abs=0.08)
    assert square.metrics["provenance"]["resolution"] == 16
    # What the report shows stays at the images' own size.
    assert square.masks is not None
    assert square.masks[6] is not None
    assert square.masks[6].shape == SIZE


def test_the_seed_decides(root: Path) -> None:
    def ends(seed: int) -> list[float]:
        metrics = evaluate(Brightness(), root, bootstrap=30, seed=seed).metrics
        return [metrics[f"{name}_low"] for name in METRICS]

    assert ends(1) == ends(1) != ends(2)


def test_metrics_are_written_as_json(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "metrics.json"
    result = evaluate(Brightness(), root, bootstrap=5, out=out)
    assert json.loads(out.read_text()) == {**result.metrics, "by_defect": result.by_defect}
    assert list(out.parent.iterdir()) == [out]


def test_a_failed_write_leaves_what_was_there(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "metrics.json"
    out.write_text("old")
    result = evaluate(Brightness(), root, bootstrap=0)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OddlensError, match=r"metrics\.json.*No space left"):
        result.write_metrics(out)
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "tiles"]


def stop_at(phase: str) -> Callable[[str, int, int], None]:
    def progress(name: str, done: int, total: int) -> None:
        if name == phase and done > 3:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("phase", ["pixel metrics", "pixel intervals"])
def test_ctrl_c_keeps_the_image_metrics(root: Path, tmp_path: Path, phase: str) -> None:
    out = tmp_path / "metrics.json"
    with pytest.raises(Interrupted, match=r"image metrics are kept in .*metrics\.json") as caught:
        evaluate(Brightness(), root, bootstrap=5, out=out, progress=stop_at(phase))
    assert isinstance(caught.value.partial, Evaluation)
    written = json.loads(out.read_text())
    assert written["image_auroc"] == caught.value.partial.metrics["image_auroc"]
    assert "aupro" not in written


def test_options_out_of_range_are_refused_before_any_work(root: Path) -> None:
    detector = Brightness()
    with pytest.raises(UsageError, match="bootstrap is -1"):
        evaluate(detector, root, bootstrap=-1)
    with pytest.raises(UsageError, match="resolution is 0"):
        evaluate(detector, root, resolution=0)
    with pytest.raises(DataError, match="nowhere"):
        evaluate(detector, root / "nowhere")
    assert not detector.options


def test_ctrl_c_in_the_image_metrics_keeps_the_predictions(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    module = sys.modules["oddlens.evaluation.evaluate"]  # the package's attribute is the function
    monkeypatch.setattr(module, "image_intervals", interrupt)
    with pytest.raises(Interrupted, match="stopped while computing image metrics") as stop:
        evaluate(Brightness(), root)
    assert isinstance(stop.value.partial, Predictions)
    assert len(stop.value.partial) == 13


def test_an_image_on_its_side_has_the_size_that_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "side.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert image_size(path) == decode(path).shape[:2] == (40, 30)


def test_evaluate_is_the_function_whatever_was_imported_first() -> None:
    assert oddlens.evaluation.evaluate is evaluate
    assert callable(evaluate)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL.name}: the data set is not beside the repo")
def test_on_real_masks() -> None:
    result = evaluate(Brightness(), REAL, bootstrap=20)
    assert (result.metrics["n_normal"], result.metrics["n_anomalous"]) == (20, 63)
    assert set(result.by_defect) == {"broken_large", "broken_small", "contamination"}
    assert result.metrics["aupro_low"] < result.metrics["aupro"] < result.metrics["aupro_high"]
