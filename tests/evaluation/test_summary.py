"""Tables of records."""

from __future__ import annotations

from typing import Any

import pytest

from oddlens.evaluation.protocols import PROTOCOLS
from oddlens.evaluation.summary import Spread, percent, published, summarise
from oddlens.images.catalogue import CATALOGUE
from tests.evaluation.made_records import made


def test_classes_over_seeds_and_the_mean_over_classes() -> None:
    records = [made("a", 0, 0.8), made("a", 1, 0.9), made("b", 0, 0.6), made("b", 1, 0.9)]
    (summary,) = summarise(records)
    # By hand: a is 0.85, its deviation sqrt(2 * 0.05^2); seeds are 0.7 and 0.9 over the classes.
    assert summary.classes["a"].mean == pytest.approx(0.85)
    assert summary.classes["a"].deviation == pytest.approx(0.0707107, abs=1e-6)
    assert summary.mean is not None
    assert summary.mean.mean == pytest.approx(0.8)
    assert summary.mean.deviation == pytest.approx(0.1414214, abs=1e-6)
    assert summary.mean.seeds == (0, 1)
    assert summary.cues == {"one": pytest.approx(0.7), "other": 0.5}


def test_a_seed_that_lacks_a_class_does_not_enter_the_mean() -> None:
    (summary,) = summarise([made("a", 0, 0.8), made("a", 1, 0.9), made("b", 0, 0.6)])
    assert summary.mean is not None
    assert summary.mean.mean == pytest.approx(0.7)
    assert (summary.mean.deviation, summary.mean.seeds) == (None, (0,))
    assert summary.mean_of_means == pytest.approx((0.85 + 0.6) / 2)
    (apart,) = summarise([made("a", 0, 0.8), made("b", 1, 0.6)])
    assert apart.mean is None
    assert apart.mean_of_means == pytest.approx(0.7)


@pytest.mark.parametrize(
    "other",
    [
        {"test_limit": 100},
        {"minutes": 1.0, "epochs": None},
        {"options": {"preset": "paper"}},
        {"method": "ssm"},
        {"data_sha256": "1f"},
        {"provenance": {"hardware": {"device": "NVIDIA H100"}}},
    ],
)
def test_what_differs_is_never_mixed(other: dict[str, object]) -> None:
    first, second = summarise([made("a", 0, 0.8), made("a", 1, 0.9, **other)])
    assert first.classes["a"].seeds == (0,)
    assert second.classes["a"].seeds == (1,)


def test_minutes_in_float32_are_another_budget() -> None:
    timed: dict[str, object] = {"minutes": 5.0, "epochs": None}
    told = [made("a", 0, 0.8, **timed), made("b", 0, 0.8, **timed, fit={"precision": "bf16"})]
    slow = made("a", 0, 0.7, **timed, fit={"precision": "32"})
    fast, other = summarise([*told, slow])
    assert list(fast.classes) == ["a", "b"]
    assert other.configuration.precision == "32"
    # What is counted in passes is the same on every machine.
    assert len(summarise([made("a"), made("b", fit={"precision": "32"})])) == 1


def test_float32_that_was_asked_for_is_told_by_old_records_too() -> None:
    asked = made("a", minutes=5.0, epochs=None, config={"precision": "32"})
    (summary,) = summarise([asked])
    assert summary.configuration.precision == "32"


def test_an_option_that_came_later_does_not_part_records_of_an_ensemble() -> None:
    config = {"ensemble": {"fusion": "mean"}, "ssm": {}, "anomem": {"encoder": "deep"}}
    later = {**config, "anomem": {"encoder": "deep", "mirrored": False, "collapse": "refuse"}}
    about: dict[str, object] = {"method": "ssm,anomem", "options": {}}
    records = [
        made("a", 0, 0.8, config=config, **about),
        made("a", 1, 0.8, config=later, **about),
    ]
    assert len(summarise(records)) == 1
    other = {**config, "anomem": {"encoder": "deep", "mirrored": True}}
    assert len(summarise([*records, made("a", 2, 0.8, config=other, **about)])) == 2


def test_a_rim_of_none_is_what_multitask_had_before_there_was_one() -> None:
    config = {"preset": "compact", "image_size": 42}
    records = [
        made("a", seed, method="multitask", config=config | more)
        for seed, more in enumerate([{}, {"rim": 0}])
    ]
    assert len(summarise(records)) == 1
    other = made("a", 2, method="multitask", config={**config, "rim": 6})
    assert len(summarise([*records, other])) == 2


def test_the_later_of_two_records_counts() -> None:
    (summary,) = summarise([made("a", 0, 0.8), made("a", 0, 0.9)])
    assert summary.classes["a"] == Spread(0.9, None, (0,))


def test_classes_stand_in_the_order_of_their_data_set() -> None:
    names = ["truck", "dog", "airplane"]
    (summary,) = summarise(made(name, data="cifar10") for name in names)
    assert list(summary.classes) == ["airplane", "dog", "truck"]
    (unknown,) = summarise(made(name) for name in names)
    assert list(unknown.classes) == names


def test_no_records_no_tables() -> None:
    assert summarise([]) == []


def test_what_others_published_has_its_source() -> None:
    for data in ("fashion-mnist", "cifar10"):
        others = published("one-vs-all", data)
        assert "GeoTrans" in {each.who for each in others}
        assert all(each.source and each.mean and 0.5 < each.mean < 1 for each in others)
        assert all({*each.classes} <= {*CATALOGUE[data].classes} for each in others)
    geotrans = {each.who: each.mean for each in published("one-vs-all", "cifar10")}["GeoTrans"]
    assert geotrans == 0.86
    assert published("one-vs-all", "digits") == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_was_published_is_a_share_of_what_records_have_too(protocol: str) -> None:
    known = {"pixel_auroc", "pixel_ap", "image_or_pixel_auroc", "apcer_at_bpcer_pooled"}
    for other in (each for data in CATALOGUE for each in published(protocol, data)):
        figures = [*other.more.values(), *other.classes.values(), other.mean]
        assert all(0 < figure < 1 for figure in figures if figure is not None)
        assert {*other.more} <= known
        assert other.more or other.mean is not None


def test_numbers_for_people() -> None:
    assert percent(Spread(0.935, 0.0021, (0, 1))) == "93.5 ± 0.2"
    assert percent(Spread(0.935, None, (0,))) == percent(0.935) == "93.5"
    assert percent(None) == ""


def test_an_option_that_came_later_parts_only_what_it_would_have_changed() -> None:
    old = {"preset": "compact", "scales": 3, "encoder": "compact"}
    new = {**old, "subject": "object", "collapse": "refuse", "distance_weight": "auto"}

    def tables(few: int, **other: Any) -> int:
        fit = {"labelled_anomalies": few}
        earlier = made("a", method="anomem", config=old, fit=fit)
        later = made("b", method="anomem", config={**new, **other}, fit=fit)
        return len(summarise([earlier, later]))

    assert tables(0) == 1
    assert tables(9) == 2  # the distance had another share of the score
    frozen = {"encoder": "efficientnet_lite0"}
    assert tables(0, judged_by="deepest", scaled_by=None) == 1
    assert tables(0, **frozen) == 2


def test_what_only_a_frozen_encoder_reads_parts_its_records_alone() -> None:
    def tables(encoder: str) -> int:
        configs = ({"encoder": encoder, "subject": each} for each in ("object", "surface"))
        return len(summarise([made("a", method="anomem", config=each) for each in configs]))

    assert tables("compact") == 1
    assert tables("efficientnet_lite0") == 2
