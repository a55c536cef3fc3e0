"""The model card: what an artifact's README.md says of the detector in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oddlens.scoring import Calibration

if TYPE_CHECKING:
    from oddlens.detector import Detector

_RATES = (0.01, 0.05, 0.1)


def model_card(detector: Detector) -> str:
    """Markdown for a fitted detector."""
    assert detector.calibration is not None
    done, origin = detector.fit_report, detector.provenance
    hardware = origin.get("hardware", {})
    return "\n".join(
        [
            f"# A fitted {type(detector).__name__} detector",
            "",
            f"Made by oddlens {origin.get('oddlens')} on {origin.get('created')}. It has learned "
            "from normal images alone what they look like; a higher score is more anomalous.",
            "",
            "```python",
            "import oddlens",
            'detector = oddlens.load("this folder")',
            'predictions = detector.predict("images", false_alarm_rate=0.05)',
            "```",
            "",
            "## Training",
            "",
            f"- {done.get('trained_on')} images trained on, {done.get('tuned_on')} for thresholds "
            f"and standardisation, {done.get('calibrated_on')} for the calibration"
            f"{_skipped(done.get('skipped', 0))}",
            f"- asked for {_length(origin)}: {done.get('steps')} steps in {done.get('seconds')} "
            f"seconds, seed {origin.get('seed')}, arithmetic {origin.get('precision')}",
            f"- last loss {_number(done.get('final_loss'))}, "
            f"{origin.get('parameters', 0):,} parameters",
            f"- on {hardware.get('device')} ({hardware.get('machine')}, {hardware.get('threads')} "
            f"threads), torch {hardware.get('torch')}",
            "",
            *_diagnostics_lines(done.get("diagnostics", {})),
            "## Calibration",
            "",
            *calibration_lines(detector.calibration),
            "",
            "The guarantee holds for new normal images that come about as the held-out ones did; "
            "another camera, light or supplier asks for a new fit.",
            "",
            "## Options",
            "",
            "| option | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in detector.config.model_dump().items()),
            "",
        ]
    )


def _length(origin: dict[str, Any]) -> str:
    if origin.get("max_minutes"):
        return f"{origin['max_minutes']:g} minutes"
    return f"{origin['epochs']:,} epochs" if origin.get("epochs") else "the method's own length"


def calibration_lines(calibration: Calibration) -> list[str]:
    """The table of false-alarm rates, and a word where the hold-out is small."""
    lines = ["| wanted false-alarm rate | guaranteed | score above |", "|---|---|---|"]
    for rate in _RATES:
        threshold = calibration.threshold(rate)
        lines.append(f"| {rate:g} | {threshold.guaranteed:.4f} | {threshold.value:.6g} |")
    message = calibration.threshold(_RATES[0]).message
    return [*lines, "", f"{message[0].upper()}{message[1:]}."] if message else lines


def _diagnostics_lines(diagnostics: dict[str, Any]) -> list[str]:
    """What the method tells of its training, a line each; nothing where it tells nothing."""
    if not diagnostics:
        return []
    lines = [f"- {name}: {_told(value)}" for name, value in diagnostics.items()]
    return ["## Diagnostics", "", *lines, ""]


def _told(value: Any) -> str:
    """A value out of JSON in words: what is nested is joined by commas and semicolons."""
    match value:
        case dict():
            return ", ".join(f"{name} {_told(each)}" for name, each in value.items())
        case list() | tuple():
            return "; ".join(map(_told, value))
        case float():
            return f"{value:.5g}"
        case _:
            return str(value)


def _skipped(count: int) -> str:
    return f"; {count} files could not be read" if count else ""


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.5g}"
