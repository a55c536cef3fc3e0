"""The model card says what was done, in numbers that are true."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oddlens.images import ImageCache
from oddlens.model_card import model_card
from tests.toys import Toy, noise


@pytest.fixture(scope="module")
def fitted() -> Toy:
    return Toy().fit(noise(40), epochs=2, holdout=0.5, seed=11, device="cpu")


def test_facts(fitted: Toy) -> None:
    card = model_card(fitted)
    steps = fitted.fit_report["steps"]
    for line in (
        "# A fitted Toy detector",
        "- 20 images trained on, 6 for thresholds and standardisation, 14 for the calibration\n",
        f"- asked for 2 epochs: {steps} steps in {fitted.fit_report['seconds']} seconds, seed 11,",
        "- on cpu (",
        "| image_size | 16 |",
        "| learning_rate | 0.05 |",
    ):
        assert line in card


def test_rates_that_cannot_be_guaranteed_are_told(fitted: Toy) -> None:
    card = model_card(fitted)
    assert fitted.calibration is not None
    weak, strong = fitted.calibration.threshold(0.01), fitted.calibration.threshold(0.1)
    assert f"| 0.01 | 0.0667 | {weak.value:.6g} |" in card
    assert f"| 0.1 | 0.0667 | {strong.value:.6g} |" in card
    assert "A false-alarm rate of 0.01 needs 99 held-out normal images and there are 14" in card


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ({"max_minutes": 2.5, "epochs": None}, "asked for 2.5 minutes: "),
        ({"max_minutes": None, "epochs": 1200}, "asked for 1,200 epochs: "),
        ({"max_minutes": None, "epochs": None}, "asked for the method's own length: "),
    ],
)
def test_length(fitted: Toy, origin: dict[str, float | None], said: str) -> None:
    before = fitted.provenance
    fitted.provenance = before | origin
    try:
        assert said in model_card(fitted)
    finally:
        fitted.provenance = before


class Telling(Toy):
    """Tells of its training what methods tell."""

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        super().adapt(train, tune, tell)
        self.diagnostics["accuracy on held-out normals"] = {"rotation": 0.912345678, "jigsaw": 0.5}
        looks = [{"step": 1200, "rotation": 0.25}, {"step": 2400, "rotation": 0.75}]
        self.diagnostics["while training, on held-out normals"] = {"recognise": looks}
        self.diagnostics["tasks dropped"] = ["tint", "recolorization"]


def test_what_the_method_tells_of_its_training(fitted: Toy) -> None:
    told = Telling().fit(noise(12), epochs=1, device="cpu")
    assert (
        "\n\n## Diagnostics\n\n"
        "- accuracy on held-out normals: rotation 0.91235, jigsaw 0.5\n"
        "- while training, on held-out normals: "
        "recognise step 1200, rotation 0.25; step 2400, rotation 0.75\n"
        "- tasks dropped: tint; recolorization\n"
        "\n## Calibration\n"
    ) in model_card(told)
    assert "Diagnostics" not in model_card(fitted)
