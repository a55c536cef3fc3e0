"""How well each task is solved is looked at while a method trains, and kept."""

from __future__ import annotations

import pytest

from oddlens.detectors.multitask import MultiTask
from tests.detectors.tiny_multicue import SIDE, pictures, tiny

KEY = "while training, on held-out normals"

# Networks this small learn little from ten images, and say so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:task .* was not learned", "ignore:cue .* only shifted"
)


def test_multitask_keeps_the_accuracy_of_each_task() -> None:
    detector = MultiTask(image_size=SIDE, widths=(8,), batch_size=4)
    report = detector.fit(pictures(12), epochs=5, device="cpu").fit_report
    told = report["diagnostics"]
    assert list(told[KEY]) == ["recognise"]
    looks = told[KEY]["recognise"]
    assert len(looks) > 1, "none before the end"
    for look in looks:
        assert look.keys() == {"step", "vertical", "horizontal", "rotation", "jigsaw"}
    after = told["accuracy on held-out normals"]
    assert looks[-1] == {"step": report["steps"], **after}


def test_multicue_keeps_that_of_both_branches() -> None:
    report = tiny().fit(pictures(12), epochs=4, device="cpu").fit_report
    told = report["diagnostics"]
    assert list(told[KEY]) == ["pieces", "recolor"]
    names = ({"puzzle accuracy", "tint accuracy", "attention entropy"}, {"recolorization nll"})
    last: dict[str, float] = {}
    for looks, expected in zip(told[KEY].values(), names, strict=True):
        assert len(looks) > 1, "none before the end"
        assert all(look.keys() == {"step", *expected} for look in looks)
        last |= looks[-1]
    assert last == {"step": report["steps"] // 2, **told["on held-out normals"]}
