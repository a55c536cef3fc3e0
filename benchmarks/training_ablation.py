"""What each choice in training does: SSM trained anew for every variant, for equal steps.

Usage: ``python benchmarks/training_ablation.py DATASET --name bottle --steps 200``

Equal steps repeat bit for bit on one machine, whatever else it does; what a step costs differs
between variants (three forwards for the partition, resolution), and the seconds are recorded.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from localization import trial
from records import append, recorded

VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("training default", "default", {}),
    ("loss terms", "without MSE", {"mse_weight": 0.0}),
    ("loss terms", "without MSGMS", {"msgms_weight": 0.0}),
    ("loss terms", "without SSIM", {"ssim_weight": 0.0}),
    ("loss terms", "without the mask head", {"mask_weight": 0.0}),
    ("mask conditioning", "none (RIAD)", {"mask_attention": False, "mask_weight": 0.0}),
    ("training masks", "cells 4, 8, 16, 32", {"cells": [4, 8, 16, 32]}),
    ("resolution", "64 px", {"image_size": 64, "cells": [2, 4, 8], "scoring_cells": [2, 4]}),
    ("resolution", "192 px", {"image_size": 192}),
    (
        "training masks",
        "partition in 3, three forwards (official)",
        {
            "variant": "official",
            "rows_only": False,
            "cues": ["structure", "intensity"],
            "scoring_cells": [2, 4, 8],
        },
    ),
]


def main() -> None:
    """Run the variants that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    call = parser.parse_args()
    call.keep, call.bootstrap, call.label, call.minutes = None, 0, "", None
    for seed in call.seeds:
        for group, label, options in VARIANTS:
            key = {"data": call.name, "group": group, "label": label, "seed": seed}
            key["steps"] = call.steps
            if any(all(r.get(k) == v for k, v in key.items()) for r in recorded("ssm_ablation")):
                continue
            length = {"most_steps": call.steps, "epochs": 100_000}
            found = trial(call, options | length, seed)
            append("ssm_ablation", key | found | {"options": options})
            print(group, label, found["metrics"]["image_auroc"], found["metrics"]["pixel_auroc"])


if __name__ == "__main__":
    main()
