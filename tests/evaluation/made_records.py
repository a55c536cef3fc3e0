"""Records of trials that never were."""

from __future__ import annotations

from typing import Any

from oddlens.evaluation.records import Record


def made(target: str = "a", seed: int = 0, auroc: float = 0.9, **other: Any) -> Record:
    content: dict[str, Any] = {
        "protocol": "one-vs-all",
        "data": "made",
        "data_sha256": "0f",
        "target": target,
        "method": "toy",
        "options": {"preset": "compact"},
        "config": {"preset": "compact"},
        "seed": seed,
        "minutes": None,
        "epochs": 1,
        "test_limit": None,
        "metrics": {
            "image_auroc": auroc,
            "image_auroc_low": max(auroc - 0.1, 0),
            "image_auroc_high": min(auroc + 0.05, 1),
            "n_train": 10,
            "n_normal": 5,
            "n_anomalous": 15,
            "n_skipped": 0,
            "ms_per_image": 1.5,
        },
        "cue_aurocs": {"one": auroc - 0.1, "other": 0.5},
        "by_kind": {"b": auroc},
        "fit_seconds": 60.0,
        "steps": 7,
        "peak_memory_mib": 300,
        "diagnostics": {},
        "fit": {},
        "warnings": [],
        "provenance": {"hardware": {"device": "cpu"}},
    }
    return Record.model_validate({**content, **other})
