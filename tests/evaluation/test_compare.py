"""Methods are compared where they were measured alike, and the test is the textbook's."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from oddlens.errors import DataError
from oddlens.evaluation.compare import compare, wilcoxon
from oddlens.evaluation.records import Record
from tests.evaluation.made_records import made


def by_hand(differences: list[float]) -> float:
    """Every choice of signs, with Pratt's ranks: zeros are ranked, and count for neither side."""
    values = np.array(differences)
    ranks = rankdata(np.abs(values))[values != 0]
    observed = abs(float((ranks * np.sign(values[values != 0])).sum()))
    every = [abs(float(np.dot(signs, ranks))) for signs in product((-1, 1), repeat=len(ranks))]
    return sum(value >= observed - 1e-9 for value in every) / len(every)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=9))
def test_the_p_value_is_that_of_all_signs(differences: list[float]) -> None:
    if len(differences) == 1 or not any(differences):
        assert wilcoxon(differences) == 1.0
    else:
        assert wilcoxon(differences) == pytest.approx(by_hand(differences), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_who_is_first_does_not_matter(differences: list[float]) -> None:
    turned = wilcoxon([-value for value in differences])
    assert wilcoxon(differences) == pytest.approx(turned, abs=1e-12)
    assert 0 < turned <= 1


def test_many_classes() -> None:
    rng = np.random.default_rng(0)
    assert wilcoxon(rng.normal(0.02, 0.01, 40)) < 1e-6
    assert wilcoxon(rng.normal(0, 0.01, 40)) > 0.05


def pair(differences: list[float], **other: Any) -> list[Record]:
    return [
        made(f"c{at}", auroc=0.8 + (difference if method == "new" else 0), method=method, **other)
        for at, difference in enumerate(differences)
        for method in ("toy", "new")
    ]


def test_two_methods_class_by_class() -> None:
    (found,) = compare(pair([0.01, 0.02, 0.03, 0.04, 0.05, -0.001]), "toy", "new")
    assert found.wins == (1, 5)
    assert found.p_value == pytest.approx(4 / 64)
    assert found.least_p_value == pytest.approx(2 / 64)
    assert found.means == pytest.approx((0.8, 0.8 + 0.149 / 6))
    assert found.median_difference == pytest.approx(0.025)
    (turned,) = compare(pair([0.01, 0.02, 0.03, 0.04, 0.05, -0.001]), "new", "toy")
    assert turned.wins == (5, 1)
    assert turned.p_value == found.p_value


def test_only_seeds_and_classes_of_both_count() -> None:
    records = [
        *(made("a", seed, 0.8 + seed / 10) for seed in (0, 1)),
        made("b", 0, 0.7),
        made("a", 1, 0.95, method="new"),
        made("c", 0, 0.5, method="new"),
    ]
    (found,) = compare(records, "toy", "new")
    assert found.classes == {"a": (0.9, 0.95)}
    assert found.seeds == (1,)
    assert found.least_p_value == found.p_value == 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "style"},
        {"data_sha256": "1f"},
        {"test_limit": 10},
        {"provenance": {"hardware": {"device": "GPU"}}},
        {"setting": {"gamma": 0.1}},
        {"seed": 4},
        {"epochs": 2},
        {"epochs": None, "minutes": 1.0},
    ],
)
def test_what_was_measured_otherwise_is_not_compared(other: dict[str, Any]) -> None:
    records = [made("a"), made("a", **{"method": "new", **other})]
    with pytest.raises(DataError, match="never measured on the same class"):
        compare(records, "toy", "new")


def test_options_may_differ_and_of_one_method_the_budget_as_well() -> None:
    records = [
        *pair([0.1, 0.2]),
        *(made(f"c{at}", auroc=0.99, minutes=5.0, epochs=None) for at in range(2)),
        *(made(f"c{at}", auroc=0.99, options={"preset": "paper"}) for at in range(2)),
    ]
    options = [each.first.options for each in compare(records, "toy", "new")]
    assert options == ['{"preset": "compact"}', '{"preset": "paper"}']
    budgets = [(each.first.minutes, each.second.minutes) for each in compare(records, "toy", "toy")]
    assert budgets == [(None, 5.0), (None, None), (5.0, None)]
    with pytest.raises(DataError, match="no records of ssm: there are some of new, toy"):
        compare(records, "toy", "ssm")
