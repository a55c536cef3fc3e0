"""How fast exported detectors are: onnxruntime against torch, measured alternately in one run.

    python benchmarks/onnx_speed.py

Every method with its default network, fitted for one epoch on made images: what a pass costs does
not depend on the weights, but what SSM's refinement skips does, so that its torch time is that of
normal images. Both score the same arrays of 8-bit pixels at the detector's size, batch by batch;
nothing is decoded or resized. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from records import append, provenance
from speed import alternately, made_folder

import oddlens
from oddlens.detector import Detector
from oddlens.export import load_onnx, to_onnx
from oddlens.images import open_source
from oddlens.images.prepare import squash, to_tensor

BATCH, SCORED = 16, 64


def detectors() -> dict[str, Detector]:
    """Every method, not fitted."""
    return {
        "SSM": oddlens.SSM(),
        "MultiTask": oddlens.MultiTask(),
        "MHRot": oddlens.GeometricTransforms(variant="mhrot"),
        "MultiCue": oddlens.MultiCue(),
        "AnoMem": oddlens.AnoMem(collapse="tell"),
        "AnoMem, frozen EfficientNet-Lite0": oddlens.AnoMem(encoder="efficientnet_lite0"),
        "Ensemble of SSM and MultiTask": oddlens.Ensemble([oddlens.SSM(), oddlens.MultiTask()]),
    }


def measure(name: str, detector: Detector, folder: Path) -> list[dict[str, object]]:
    """Milliseconds an image with both, and how far apart the scores are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch on noise learns nothing, and says so
        detector.fit(folder, epochs=1, holdout=0.4, device="cpu")
    exported_file = folder.with_name(f"{name}.onnx")
    made = to_onnx(detector, exported_file)
    exported = load_onnx(exported_file)
    sizes, source = exported.metadata.image_sizes, open_source(folder)
    pixels = [source.read(index) for index in range(min(SCORED, len(source)))]
    views = {size: np.stack([squash(each, size) for each in pixels]) for size in sizes}
    starts = range(0, len(pixels), BATCH)
    batches = [{s: each[at : at + BATCH] for s, each in views.items()} for at in starts]

    def by_torch() -> None:
        for batch in batches:
            tensors = {size: to_tensor(each.copy()) for size, each in batch.items()}
            if isinstance(detector, oddlens.Ensemble):
                detector.scored_views(tensors)
            else:
                detector.scored(tensors[detector.config.image_size])

    def by_onnxruntime() -> None:
        for batch in batches:
            exported.run(batch)

    times = [1e3 * each / len(pixels) for each in alternately(by_torch, by_onnxruntime, rounds=5)]
    shared = {"method": name, "batch": BATCH, "image_sizes": list(sizes)}
    return [
        {**shared, "what": "torch", "value": round(times[0], 3), "unit": "ms/image"},
        {**shared, "what": "onnxruntime", "value": round(times[1], 3), "unit": "ms/image"},
        {**shared, "what": "torch against onnxruntime", "value": round(times[0] / times[1], 3)},
        {**shared, "what": "largest deviation", "value": made.deviation},
        {**shared, "what": "file", "value": round(made.size / 2**20, 2), "unit": "MiB"},
    ]


def main() -> None:
    """Measure everything and append it to results/onnx_speed.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one method, such as SSM")
    parser.add_argument("--dry", action="store_true", help="print, and record nothing")
    call = parser.parse_args()
    import onnxruntime

    origin = provenance() | {"onnxruntime": onnxruntime.__version__}
    for name, detector in detectors().items():
        if call.only not in (None, name):
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "images"
            folder.mkdir()
            for record in measure(name, detector, made_folder(folder)):
                print(record, flush=True)
                if not call.dry:
                    append("onnx_speed", {**record, "provenance": origin})


if __name__ == "__main__":
    main()
