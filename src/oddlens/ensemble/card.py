"""The model card of an ensemble; each member's own lies in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oddlens.model_card import calibration_lines
from oddlens.scoring.fusion import RANKED

if TYPE_CHECKING:
    from oddlens.ensemble.ensemble import Ensemble


def ensemble_card(ensemble: Ensemble) -> str:
    """Markdown for a calibrated ensemble."""
    assert ensemble.calibration is not None
    done, origin = ensemble.fit_report, ensemble.provenance
    ranked = ensemble.config.fusion in RANKED
    what = (
        ("p-values", "They are ranks among") if ranked else ("scores", "They are standardised on")
    )
    return "\n".join(
        [
            "# An ensemble of fitted detectors",
            "",
            f"Made by oddlens {origin.get('oddlens')} on {origin.get('created')} of "
            f"{len(ensemble.members)} members, each of which has learned from normal images what "
            "they look like. A higher score is more anomalous; the cue of a member is -log10 of "
            "its p-value, and the largest one names the member that objects most.",
            "",
            "```python",
            "import oddlens",
            'ensemble = oddlens.load("this folder")',
            'predictions = ensemble.predict("images", false_alarm_rate=0.05)',
            "```",
            "",
            "## Members",
            "",
            "| cue | method | image size | parameters | card |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {each.method} | {each.config.image_size} | "
                f"{each.provenance.get('parameters', 0):,} | `members/{name}/README.md` |"
                for name, each in ensemble.named_members.items()
            ),
            "",
            f"Their {what[0]} are fused by `{ensemble.config.fusion}`. {what[1]} "
            f"{done.get('tuned_on')} normal images.",
            "",
            "## Calibration",
            "",
            f"On {done.get('calibrated_on')} others, which no member was trained or tuned on:",
            "",
            *calibration_lines(ensemble.calibration),
            "",
        ]
    )
