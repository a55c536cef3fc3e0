"""Detectors from a command line: one method, or several with commas between."""

from __future__ import annotations

import pytest

from oddlens import Ensemble
from oddlens.cli.build import build_detector, divide_settings
from oddlens.detectors.ssm import SSM
from oddlens.errors import UsageError


def test_one_method_is_itself() -> None:
    detector = build_detector("ssm", preset="compact", size=64, settings=["flips=both"])
    assert isinstance(detector, SSM)
    assert (detector.config.image_size, detector.config.flips) == (64, "both")


def test_several_methods_are_an_ensemble() -> None:
    detector = build_detector(
        "ssm, SSM,anomem",
        preset="compact",
        size=64,
        settings=["ssm-2.flips=both", "ensemble.fusion=stouffer"],
    )
    assert isinstance(detector, Ensemble)
    members = detector.named_members
    assert list(members) == ["ssm", "ssm-2", "anomem"]
    assert [each.config.image_size for each in members.values()] == [64, 64, 64]
    assert [members[name].config.flips for name in ("ssm", "ssm-2")] == ["none", "both"]  # type: ignore[attr-defined]
    assert detector.config.fusion == "stouffer"


def test_a_setting_goes_to_every_member_that_has_it() -> None:
    known = {"ssm": ["flips", "cells"], "anomem": ["flips"], "ensemble": ["fusion"]}
    found = divide_settings(["flips=both", "cells=[2]", "anomem.flips=none"], known)
    assert found == {
        "ssm": ["flips=both", "cells=[2]"],
        "anomem": ["flips=both", "flips=none"],
        "ensemble": [],
    }


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("ssm,anomen", [], "no method 'anomen': did you mean anomem"),
        ("ssm,", [], "no method ''"),
        ("ssm,anomem", ["celsl=[2]"], "no member has such an option; did you mean cells"),
        ("ssm,anomem", ["smm.cells=[2]"], "there is no member smm; did you mean ssm"),
        ("ssm,anomem", ["anomem.cells=[2]"], "anomem has no such option"),
        ("ssm,anomem", ["ensemble.fusion=median"], "option fusion"),
        ("ensemble", [], "no method 'ensemble'"),
    ],
)
def test_mistakes(method: str, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_detector(method, preset="compact", size=None, settings=settings)
