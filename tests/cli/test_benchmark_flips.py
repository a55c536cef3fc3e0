"""Which flips, shifts, mirror images and rim ``oddlens benchmark`` gives a method."""

from __future__ import annotations

import pytest

from oddlens.cli.benchmark import _options
from oddlens.detectors import METHODS
from tests.toys import Toy


def test_style_is_never_mirrored_and_faces_are() -> None:
    assert _options("multitask", "compact", [], "cub200", "style")[0]["flips"] == "none"
    assert _options("multitask", "compact", [], "cub200")[0]["flips"] == "horizontal"
    assert _options("multitask", "compact", [], "folder", "faces")[0]["flips"] == "horizontal"


@pytest.mark.parametrize(
    ("data", "given", "flips"),
    [
        ("digits", [], "none"),
        ("fashion-mnist", [], "horizontal"),
        ("cifar10", [], "horizontal"),
        ("digits", ["flips=both"], "both"),
        ("cifar10", ["flips=none"], "none"),
    ],
)
def test_flips_are_those_of_the_data_unless_asked_otherwise(
    data: str, given: list[str], flips: str
) -> None:
    options, config = _options("ssm", "compact", given, data)
    assert options["flips"] == config["flips"] == flips


def test_photographs_are_shifted_unless_asked_otherwise() -> None:
    assert _options("multitask", "compact", [], "cifar10")[0]["jitter"] == 2
    assert _options("multitask", "compact", ["jitter=1"], "cifar10")[0]["jitter"] == 1
    assert "jitter" not in _options("multitask", "compact", [], "digits")[0]


@pytest.mark.parametrize(
    ("data", "preset", "given", "size", "rim"),
    [
        ("cifar10", "compact", [], 42, 6),
        ("cifar10", "paper", [], 48, 6),
        ("cifar10", "compact", ["image_size=60"], 60, 0),
        ("cifar10", "compact", ["rim=0"], 30, 0),
        ("cifar10", "compact", ["rim=3"], 36, 3),
        ("cifar10", "compact", ["shift=4"], 30, 0),
        ("cifar10", "compact", ["grid=5"], 30, 0),
        ("cifar10", "compact", ["image_size=48", "rim=3"], 48, 3),
        ("cifar10", "compact", ['tasks=["rotation","jigsaw"]'], 30, 0),
        ("cifar10", "compact", ['tasks=["rotation","vertical"]'], 42, 6),
        ("fashion-mnist", "compact", [], 30, 0),
    ],
)
def test_photographs_have_a_rim_unless_asked_otherwise(
    data: str, preset: str, given: list[str], size: int, rim: int
) -> None:
    _, config = _options("multitask", preset, given, data)
    assert (config["image_size"], config["rim"]) == (size, rim)
    assert "rim" not in _options("geometric", "compact", [], data)[1]


def test_of_an_ensemble_the_member_that_knows_it_has_a_rim() -> None:
    options, _ = _options("multitask,anomem", "compact", [], "cifar10")
    assert options["multitask"]["rim"] == 6
    assert not options["anomem"].keys() & {"rim", "image_size"}


def test_geotrans_is_not_mirrored_at_random() -> None:
    assert _options("geometric", "compact", ["variant=geotrans"], "cifar10")[0]["flips"] == "none"
    assert _options("geometric", "compact", [], "cifar10")[0]["flips"] == "horizontal"


def test_a_method_without_flips_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", f"{Toy.__module__}:Toy")
    assert _options("toy", "compact", [], "cifar10")[0] == {"preset": "compact"}
