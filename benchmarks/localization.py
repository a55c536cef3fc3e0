"""Fit and evaluate a detector on a data set in MVTec layout, one record a trial.

    python benchmarks/localization.py DATASET --name bottle --minutes 5 --seeds 0 1 2
    python benchmarks/localization.py DATASET --name bottle --method ssm,anomem --out ensembles

Trials that are recorded already are skipped, so that a run that was cut goes on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from records import append, data_hash, peak_memory_mib, provenance, recorded
from scoring_ablation import refitted

import oddlens
from oddlens.artifact import read_artifact
from oddlens.cli.build import build_detector
from oddlens.cli.options import plain_value


def main() -> None:
    """Run the trials that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", required=True, help="what the data set is called in the records")
    parser.add_argument(
        "--method", default="ssm", help="or several with commas: an ensemble, see oddlens fit"
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--label", default="default", help="names the configuration")
    parser.add_argument("--out", default="ssm_localization", help="results/<out>.jsonl")
    parser.add_argument("--keep", type=Path, help="folder for the fitted detectors")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument(
        "--trained",
        type=Path,
        nargs="*",
        default=[],
        help="detectors kept by --keep: take their networks, do everything after training anew",
    )
    call = parser.parse_args()
    options = {key: plain_value(value) for key, _, value in (o.partition("=") for o in call.set)}
    for model in call.trained:
        base = read_artifact(model)
        seed = base.provenance["seed"]
        key = {"data": call.name, "label": call.label, "seed": seed, "minutes": call.minutes}
        detector = refitted(base, options, call.dataset)
        told = {"fit_seconds": base.provenance["fit"]["seconds"], "fit": base.provenance["fit"]}
        append(call.out, key | told | measured(detector, call, options, seed))
    for seed in call.seeds:
        key = {"data": call.name, "label": call.label, "seed": seed, "minutes": call.minutes}
        known = [r for r in recorded(call.out) if r.get("method", "ssm") == call.method]
        if any(all(r[k] == v for k, v in key.items()) for r in known):
            continue
        append(call.out, key | trial(call, options, seed))


def trial(call: argparse.Namespace, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """One fit and one evaluation."""
    detector = build_detector(call.method, preset="compact", size=None, settings=call.set)
    start = time.monotonic()
    detector.fit(call.dataset / "train" / "good", max_minutes=call.minutes, seed=seed)
    fitted = time.monotonic() - start
    if call.keep:
        detector.save(call.keep / f"{call.name}-{call.label}-{seed}.oddlens")
    told = {"fit_seconds": round(fitted, 1), "fit": detector.fit_report}
    return told | measured(detector, call, options, seed)


def measured(
    detector: Any, call: argparse.Namespace, options: dict[str, Any], seed: int
) -> dict[str, Any]:
    """One evaluation of a fitted detector."""
    start = time.monotonic()
    found = oddlens.evaluate(detector, call.dataset, bootstrap=call.bootstrap, seed=seed)
    metrics = {key: value for key, value in found.metrics.items() if key != "provenance"}
    return {
        "method": call.method,
        "options": options,
        "evaluate_seconds": round(time.monotonic() - start, 1),
        "peak_memory_mib": peak_memory_mib(),
        "metrics": metrics,
        "by_defect": found.by_defect,
        "data_sha256": data_hash(call.dataset),
        "provenance": provenance(),
    }


if __name__ == "__main__":
    main()
