"""Style, out of distribution, localization and presentation attacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_curve

from oddlens.detectors import METHODS
from oddlens.errors import DataError, UsageError
from oddlens.evaluation.attacks import rates_at, rates_at_bpcer
from oddlens.evaluation.evaluate import evaluate
from oddlens.evaluation.metrics import fpr_at_tpr
from oddlens.evaluation.protocols import PROTOCOLS, Tested, Trial, get_protocol
from oddlens.evaluation.protocols.out_of_distribution import _rates
from oddlens.evaluation.records import RecordFile
from oddlens.evaluation.runner import run_trials
from oddlens.evaluation.summary import mean_of_more, summarise, told
from oddlens.evaluation.trial import load_data, run_trial
from oddlens.images import open_source
from oddlens.images.catalogue import ClassData, LabelledImages, open_data
from oddlens.images.catalogue.joined import joined
from oddlens.predictions import Predictions, PredictionWriter
from oddlens.scoring import Calibration, Threshold
from tests.images.catalogue.made import attacks, category, png, write_tree
from tests.toys import Toy

ENDS = ("", "_low", "_high")

pytestmark = pytest.mark.filterwarnings("ignore:.*smaller than the model")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", "tests.toys:Toy")


def trial(data: ClassData, root: Path | None, protocol: str, **other: Any) -> Trial:
    chosen = get_protocol(protocol, other.get("setting"), other.get("places"))
    target = other.pop("target", chosen.targets(data)[0])
    return Trial(
        protocol=protocol,
        data=data.name.partition(":")[0],
        root=root,
        data_sha256=chosen.digest(data, target),
        target=target,
        method="toy",
        options={"preset": "compact"},
        seed=0,
        epochs=1,
        device="cpu",
        **other,
    )


def predicted(scores: NDArray[np.float64]) -> Predictions:
    writer = PredictionWriter(Threshold(0.0, 0.1, 0.1, 9), method="toy")
    flags = np.zeros(len(scores), np.bool_)
    names = [str(at) for at in range(len(scores))]
    writer.add(names, scores, np.full(len(scores), 0.5), flags, {"cue": scores}, None)
    return writer.finish()


def some_scores() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], [60, 40])
    return rng.normal(labels * 1.5, 1).round(1), labels


# --- style ------------------------------------------------------------------------------------


def test_style_is_one_vs_all_that_never_mirrors() -> None:
    style = get_protocol("style")
    data = open_data("digits")
    one, other = style.images(data, "3", 0), get_protocol("one-vs-all").images(data, "3", 0)
    assert (open_source(one.train).read(0) == open_source(other.train).read(0)).all()
    assert one.test.labels.tolist() == other.test.labels.tolist()
    assert style.content == "style"
    assert get_protocol("one-vs-all").content is None


def test_only_classes_with_training_images_are_targets(tmp_path: Path) -> None:
    data = open_data("attacks", attacks(tmp_path))
    assert list(get_protocol("one-vs-all").targets(data)) == ["bonafide"]


# --- out of distribution ----------------------------------------------------------------------


def test_all_of_one_set_is_learned_and_both_test_splits_are_tested() -> None:
    digits, odd = open_data("digits"), open_data("textures")
    protocol = get_protocol("out-of-distribution", {"odd": "textures", "odd_sha256": odd.sha256})
    assert list(protocol.targets(digits)) == ["all classes"]
    images = protocol.images(digits, "all classes", 0)
    assert len(images.train) == len(digits.train)
    count = len(digits.test)
    assert images.test.labels.tolist() == [False] * count + [True] * len(odd.test)
    assert images.test.kinds[0] == digits.classes[digits.test.labels[0]]
    assert images.test.kinds[-1] == "textures gravel"
    source = open_source(images.test.images)
    assert isinstance(digits.test.images, np.ndarray)
    assert (source.read(5)[..., 0] == digits.test.images[5]).all()
    assert {source.read(at).shape for at in (0, count, len(source) - 1)} == {(8, 8, 3)}


def test_both_rates_that_are_called_fpr_at_95_tpr() -> None:
    scores, labels = some_scores()
    tested = Tested("x", predicted(scores), labels, ["k"] * 100, Calibration(scores))
    found = get_protocol("out-of-distribution").metrics(open_data("digits"), tested)
    # Normal images are the positive ones: accepted where their score is low.
    fpr, tpr, _ = roc_curve(~labels, -scores, drop_intermediate=False)
    assert found["fpr_at_95_tpr"] == pytest.approx(fpr[tpr >= 0.95][0])
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert found["false_alarms_at_95_found"] == pytest.approx(fpr[tpr >= 0.95][0])
    assert found["fpr_at_95_tpr"] != found["false_alarms_at_95_found"]


def rates_of(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> dict[str, float]:
    tested = Tested("x", predicted(scores), labels, ["k"] * len(scores), Calibration(scores))
    return get_protocol("out-of-distribution").metrics(open_data("digits"), tested)


@pytest.mark.parametrize("name", ["fpr_at_95_tpr", "false_alarms_at_95_found"])
def test_their_intervals_are_those_of_another_implementation_and_narrow(name: str) -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([False, True], [500, 300])
    scores = rng.normal(labels * 1.5, 1)

    def rate(normal: NDArray[np.float64], odd: NDArray[np.float64]) -> float:
        both, truth = np.concatenate([normal, odd]), np.repeat([0, 1], [len(normal), len(odd)])
        if name == "fpr_at_95_tpr":
            both, truth = -both, 1 - truth
        fpr, tpr, _ = roc_curve(truth, both, drop_intermediate=False)
        return float(fpr[tpr >= 0.95][0])

    groups = (scores[~labels], scores[labels])
    found = rates_of(scores, labels)
    expected = stats.bootstrap(
        groups, rate, vectorized=False, n_resamples=400, method="percentile", random_state=3
    ).confidence_interval
    low, point, high = (found[f"{name}{end}"] for end in ("_low", "", "_high"))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03)
    assert low <= point <= high
    assert point == pytest.approx(rate(*groups))
    assert rates_of(scores, labels) == found
    few = rates_of(scores[::10], labels[::10])
    assert high - low < few[f"{name}_high"] - few[f"{name}_low"]


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=60), st.integers(1, 59))
def test_the_rate_of_the_replicates_is_the_rate_itself(scores: list[int], cut: int) -> None:
    values = np.array(scores, np.float64)
    labels = np.arange(len(values)) >= min(cut, len(values) - 1)
    found = _rates([values[~labels], values[labels]])
    assert found["fpr_at_95_tpr"] == fpr_at_tpr(-values, ~labels)
    assert found["false_alarms_at_95_found"] == fpr_at_tpr(values, labels)


def test_an_odd_folder_is_found_where_it_lies_and_its_place_is_no_part_of_the_key(
    tmp_path: Path,
) -> None:
    root = write_tree(
        tmp_path / "odd", {f"{c}/{n}.png": png(200 + n, 9) for c in "ab" for n in range(10)}
    )
    odd, digits = open_data("folder", root), load_data("digits", None)
    setting = {"odd": odd.name, "odd_sha256": odd.sha256}
    call = trial(digits, None, "out-of-distribution", setting=setting, places={"odd_root": root})
    moved = trial(
        digits, None, "out-of-distribution", setting=setting, places={"odd_root": tmp_path}
    )
    assert call.key == moved.key
    record = run_trial(call)
    assert record.key == call.key
    assert {"folder:odd a", "folder:odd b"} == {*record.by_kind}
    assert record.metrics.n_anomalous == 6
    assert record.setting == setting
    assert told(record.setting) == "odd folder:odd"
    rates = ("fpr_at_95_tpr", "false_alarms_at_95_found")
    assert {*record.more_metrics} == {f"{name}{end}" for name in rates for end in ENDS}
    assert str(tmp_path) not in record.model_dump_json()


def test_an_odd_set_that_is_missing_or_the_normal_one_is_refused() -> None:
    data = open_data("digits")
    with pytest.raises(UsageError, match="give --odd"):
        get_protocol("out-of-distribution").images(data, "all classes", 0)
    same = get_protocol("out-of-distribution", {"odd": "digits", "odd_sha256": data.sha256})
    with pytest.raises(UsageError, match="is the normal data set itself"):
        same.images(data, "all classes", 0)


# --- localization -----------------------------------------------------------------------------


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    for name in ("bottle", "screw"):
        category(tmp_path / "mvtec" / name, each=6)
    return tmp_path / "mvtec"


def test_each_category_is_measured_as_evaluate_does(mvtec: Path) -> None:
    data = open_data("mvtec", mvtec)
    assert list(get_protocol("localization").targets(data)) == ["bottle", "screw"]
    record = run_trial(trial(data, mvtec, "localization", target="screw"))
    detector = Toy(preset="compact").fit(mvtec / "screw" / "train", epochs=1, device="cpu")
    expected = evaluate(detector, mvtec / "screw").metrics
    for name in ("pixel_auroc", "pixel_ap", "aupro", "image_ap"):
        for end in ENDS:
            assert record.more_metrics[name + end] == pytest.approx(expected[name + end], abs=1e-6)
    assert record.metrics.image_auroc == pytest.approx(expected["image_auroc"])
    assert record.metrics.n_normal == record.metrics.n_anomalous == 6
    assert {*record.by_kind} == {"hole"}


def test_a_part_of_the_test_images_and_a_category_without_masks(mvtec: Path) -> None:
    masks = mvtec / "screw" / "ground_truth"
    masks.rename(mvtec / ".masks")
    data = open_data("mvtec", mvtec)
    limited = run_trial(trial(data, mvtec, "localization", test_limit=6))
    assert limited.metrics.n_normal + limited.metrics.n_anomalous == 6
    assert "aupro" in limited.more_metrics
    without = run_trial(trial(data, mvtec, "localization", target="screw"))
    assert "aupro" not in without.more_metrics
    assert "image_ap" in without.more_metrics
    assert "aupro" in mean_of_more([limited, without])


def test_categories_are_hashed_apart_and_stand_in_one_table(mvtec: Path, tmp_path: Path) -> None:
    protocol, data = get_protocol("localization"), open_data("mvtec", mvtec)
    before = {target: protocol.digest(data, target) for target in protocol.targets(data)}
    calls = [trial(data, mvtec, "localization", target=each) for each in before]
    outcome = run_trials(calls, RecordFile(tmp_path / "r.jsonl"))
    assert not outcome.failed
    (summary,) = summarise(outcome.records)
    assert [*summary.classes] == ["bottle", "screw"]
    mask = next((mvtec / "screw" / "ground_truth" / "hole").iterdir())
    mask.write_bytes(next((mvtec / "screw" / "train" / "good").iterdir()).read_bytes())
    category(mvtec / "zipper")
    again = open_data("mvtec", mvtec)
    after = {target: protocol.digest(again, target) for target in protocol.targets(again)}
    assert after["bottle"] == before["bottle"]
    assert after["screw"] != before["screw"]


def test_what_has_no_categories_is_refused_and_a_bad_mask_before_training(mvtec: Path) -> None:
    protocol = get_protocol("localization")
    with pytest.raises(UsageError, match="digits has classes and no categories"):
        protocol.targets(open_data("digits"))
    data = open_data("mvtec", mvtec)
    with pytest.raises(UsageError, match="mvtec has no category 'cup': bottle, screw"):
        protocol.images(data, "cup", 0)
    next((mvtec / "screw" / "ground_truth" / "hole").iterdir()).write_bytes(png(255, 3))
    with pytest.raises(DataError, match="the mask is 3 x 3"):
        protocol.images(data, "screw", 0)


# --- presentation attacks ---------------------------------------------------------------------


def test_the_rates_are_those_of_the_standard_and_the_threshold_is_calibrated() -> None:
    scores, labels = some_scores()
    kinds = ["bonafide"] * 60 + ["print", "mask"] * 20
    calibration = Calibration(np.linspace(-2, 2, 99).round(1))
    tested = Tested("bonafide", predicted(scores), labels, kinds, calibration)
    found = get_protocol("presentation-attack").metrics(open_data("digits"), tested)
    flagged = calibration.threshold(0.05).flags(scores)
    assert found["bpcer"] == pytest.approx(flagged[:60].mean())
    worst = max(float((~flagged[60:])[at::2].mean()) for at in (0, 1))
    assert found["apcer"] == pytest.approx(worst)
    assert found["acer"] == pytest.approx((worst + flagged[:60].mean()) / 2)
    curve = rates_at_bpcer(scores, labels, kinds)
    assert found["apcer_at_bpcer"] == curve.apcer
    assert found["apcer_at_bpcer of mask"] == curve.by_kind["mask"]
    assert curve.apcer >= rates_at(scores, labels, kinds, -9.0).apcer
    rates = {name for name in found if not name.endswith(("_low", "_high"))}
    names = {"eer", "apcer_at_bpcer", "apcer_at_bpcer_pooled", "apcer", "bpcer", "acer"}
    assert rates == names | {f"apcer_at_bpcer of {kind}" for kind in ("mask", "print")}
    for name in rates:
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def test_bona_fide_is_learned_and_every_kind_of_attack_is_tested(tmp_path: Path) -> None:
    root = attacks(tmp_path / "faces", each=8)
    data = open_data("attacks", root)
    protocol = get_protocol("presentation-attack")
    assert list(protocol.targets(data)) == ["bonafide"]
    record = run_trial(trial(data, root, "presentation-attack"))
    assert {*record.by_kind} == {"mask", "print"}
    assert (record.metrics.n_train, record.metrics.n_normal, record.metrics.n_anomalous) == (
        *(8, 8),
        16,
    )
    assert 0 <= record.more_metrics["eer"] <= 1
    with pytest.raises(UsageError, match="digits has no class bonafide"):
        protocol.targets(open_data("digits"))


# --- all of them ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_test_image_is_learned_from(name: str, tmp_path: Path) -> None:
    """By pixels, for every protocol on data that fits it."""
    if name == "localization":
        data = open_data("mvtec", category(tmp_path / "m" / "cup").parent)
    elif name == "presentation-attack":
        data = open_data("attacks", attacks(tmp_path / "f"))
    else:
        data = open_data("digits")
    setting = {"out-of-distribution": {"odd": "textures"}}.get(name)
    protocol = get_protocol(name, setting)
    images = protocol.images(data, protocol.targets(data)[0], 0)

    def pixels(part: Any) -> set[bytes]:
        source = open_source(part)
        return {source.read(at).tobytes() for at in range(len(source))}

    learned = pixels(images.train)
    if images.anomalies is not None:
        learned |= pixels(images.anomalies)
    assert learned
    assert not learned & pixels(images.test.images)


def test_joined_images_are_taken_by_their_class() -> None:
    source = joined(np.zeros((2, 8, 8), np.uint8), np.ones((2, 8, 8), np.uint8), names=("a", "b"))
    part = LabelledImages(source, np.array([0, 0, 1, 1])).of_class(1)
    assert [open_source(part).name(at) for at in range(2)] == ["b: image 0", "b: image 1"]
