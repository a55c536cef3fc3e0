"""What each choice in scoring does, on fitted detectors: nothing is trained again.

    python benchmarks/scoring_ablation.py DATASET --name bottle --models KEPT/bottle-*.oddlens

Thresholds, statistics, standardisation and calibration are fitted anew for every variant, from the
same held-out normals as before.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from records import append, provenance, recorded

import oddlens
from oddlens.artifact import Artifact, read_artifact
from oddlens.held_out import calibrate, standardise
from oddlens.images import ImageCache, holdout_split, open_source

VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("default", "default", {}),
    ("refinement", "none (first pass alone)", {"rounds": 0}),
    ("refinement", "1 round, w = 1", {"persistence": 1.0}),
    ("refinement", "3 rounds", {"rounds": 3}),
    ("refinement", "3 rounds, quantiles 0.8 / 0.95", {"rounds": 3, "quantiles": [0.8, 0.95]}),
    (
        "refinement",
        "literal: w = 1, zero outside H",
        {"rounds": 3, "quantiles": [0.8, 0.95], "persistence": 1.0, "outside": "zero"},
    ),
    ("first masks", "random partition in 3", {"start": "partition"}),
    ("cell sizes", "2", {"scoring_cells": [2]}),
    ("cell sizes", "8", {"scoring_cells": [8]}),
    ("cell sizes", "16", {"scoring_cells": [16]}),
    ("cell sizes", "2, 4, 8, 16", {"scoring_cells": [2, 4, 8, 16]}),
    ("texture", "equalised below 2 px", {"equalise": 2.0}),
    ("texture", "equalised below 4 px", {"equalise": 4.0}),
    ("smoothing", "sigma 2", {"sigmas": [2.0]}),
    ("smoothing", "sigma 4", {"sigmas": [4.0]}),
    ("smoothing", "sigma 8", {"sigmas": [8.0]}),
    ("cues", "structure", {"cues": ["structure"]}),
    ("cues", "structure, intensity", {"cues": ["structure", "intensity"]}),
    ("cues", "all four", {"cues": ["structure", "intensity", "darker", "brighter"]}),
    ("normal statistics", "by cell size", {"normalise": "scale"}),
    ("normal statistics", "held-out images only", {"spread_images": 0}),
    (
        "variant",
        "official inference, smoothed by rows",
        {"variant": "official", "scoring_cells": [2, 4, 8], "cues": ["structure", "intensity"]},
    ),
    (
        "variant",
        "official inference, smoothed in 2-D",
        {
            "variant": "official",
            "scoring_cells": [2, 4, 8],
            "cues": ["structure", "intensity"],
            "rows_only": False,
        },
    ),
    (
        "variant",
        "official, one round, 2-D, equal weights",
        {
            "variant": "official",
            "scoring_cells": [2, 4, 8],
            "cues": ["structure", "intensity"],
            "rows_only": False,
            "rounds": 0,
            "equal_weights": True,
        },
    ),
]


SURFACE_VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("default", "subject=surface", {}),
    ("surface", "plain error alone", {"equalise": 0.0}),
    ("surface", "smoothings up to 8 px", {"sigmas": [1.0, 2.0, 4.0, 8.0]}),
    ("surface", "scoring cells 4, 8", {"scoring_cells": [4, 8]}),
    ("surface", "first pass alone", {"rounds": 0}),
    ("surface", "cues: structure", {"cues": ["structure"]}),
    (
        "surface",
        "as for an object",
        {"equalise": 0.0, "sigmas": [1.0, 2.0, 4.0, 8.0], "scoring_cells": [4, 8]},
    ),
]
"""For a network that was fitted with ``subject=surface``."""


def refitted(base: Artifact, changes: dict[str, Any], dataset: Path) -> Any:
    """The same network under other scoring options, with everything after training done anew."""
    detector = oddlens.SSM(**{**base.config, **changes})
    prefix = "network."
    detector.network.load_state_dict(
        {
            name.removeprefix(prefix): value
            for name, value in base.weights.items()
            if name.startswith(prefix)
        }
    )
    cache = ImageCache.load(
        open_source(dataset / "train" / "good"), detector.config.image_size, on_bad="raise"
    )
    train, tune, calibration = (
        cache.subset(part) for part in holdout_split(len(cache), 0.2, base.provenance["seed"])
    )
    detector.eval()
    with torch.inference_mode():
        detector.adapt(train, tune, lambda done, total: None)
    standardise(detector, tune)
    calibrate(detector, calibration, lambda phase, done, total: None)
    return detector


def main() -> None:
    """Run the variants that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    call = parser.parse_args()
    for model in call.models:
        base = read_artifact(model)
        seed = base.provenance["seed"]
        surface = base.config["subject"] == "surface"
        for group, label, changes in SURFACE_VARIANTS if surface else VARIANTS:
            key = {"data": call.name, "group": group, "label": label, "seed": seed}
            if any(all(r[k] == v for k, v in key.items()) for r in recorded("ssm_ablation")):
                continue
            detector = refitted(base, changes, call.dataset)
            found = oddlens.evaluate(detector, call.dataset, bootstrap=0)
            metrics = {k: v for k, v in found.metrics.items() if k != "provenance"}
            record = {"options": changes, "minutes": base.provenance["max_minutes"]}
            record |= {"metrics": metrics, "by_defect": found.by_defect}
            append("ssm_ablation", key | record | {"provenance": provenance()})
            print(group, label, metrics["image_auroc"], metrics["pixel_auroc"], flush=True)


if __name__ == "__main__":
    main()
