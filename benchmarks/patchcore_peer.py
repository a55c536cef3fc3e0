"""AnoMem on a frozen encoder beside PatchCore's recipe on the same one, in one process.

    python benchmarks/patchcore_peer.py DATASET --name bottle

PatchCore (Roth et al. 2022): locally averaged features of the two middle scales, joined; a greedy
k-center coreset of those of the training images; a position's score is its distance from the
nearest of them, an image's the largest. Without its re-weighting of the image score. Both see the
same images at the same size, fitted and evaluated by the same code.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from records import append, data_hash, provenance, recorded
from speed import alternately
from torch import Tensor

import oddlens
from oddlens.detector import Detector
from oddlens.detectors.anomem_frozen import resized, smoothed
from oddlens.images import ImageCache
from oddlens.networks.pretrained import FrozenEncoder
from oddlens.options import DetectorOptions
from oddlens.scoring import Cues
from oddlens.training import Stage

OUT = "pretrained"
VARIANTS: dict[str, dict[str, Any]] = {
    "anomem": {},
    "k-means prototypes": {"memory": False},
    "plain distance": {"scaled_by": ()},
    "plain distance, k-means prototypes": {"memory": False, "scaled_by": ()},
    "all three statistics": {"scaled_by": ("metric", "spread", "place")},
    "judged by the mean of all scales": {"judged_by": "mean"},
    "surface, evened": {"subject": "surface"},
    "surface, judged by the mean of all scales": {"subject": "surface", "judged_by": "mean"},
    "surface, all three statistics": {
        "subject": "surface",
        "scaled_by": ("metric", "spread", "place"),
    },
    "single scale": {"scales": 1},
    "mahalanobis": {"evidence": ("mahalanobis",), "memory": False},
}


def coreset(points: Tensor, count: int) -> Tensor:
    """Indices of a greedy k-center selection, in a random projection to 32 dimensions."""
    projected = points @ (torch.randn(points.shape[1], 32) / 32**0.5)
    norms = projected.square().sum(dim=1)
    nearest = torch.full((len(points),), torch.inf)
    at = int(torch.randint(len(points), ()))
    chosen = []
    for _ in range(count):
        chosen.append(at)
        squared = torch.addmv(norms, projected, projected[at], alpha=-2).add_(norms[at])
        torch.minimum(nearest, squared, out=nearest)
        at = int(nearest.argmax())
    return torch.tensor(chosen)


class PatchCoreOptions(DetectorOptions):
    image_size: int = 256
    share: float = 0.1
    most: int = 20_000


class PatchCore(Detector):
    """See the module."""

    method: ClassVar[str] = "patchcore"
    Options: ClassVar[type[DetectorOptions]] = PatchCoreOptions
    config: PatchCoreOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # 40 channels at stride 8, 80 and 112 at stride 16: the first and the last are taken.
        self.encoder = FrozenEncoder("efficientnet_lite0", 3, self.config.image_size)
        self.bank = torch.zeros(1, 152)

    def prepare(self, train: ImageCache) -> None:
        self.encoder.load_pretrained()

    def stages(self) -> list[Stage]:
        return []

    def features(self, images: Tensor) -> Tensor:
        """``(N, H, W, C)``."""
        fine, _, coarse = self.encoder(images * 2 - 1)
        coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([fine, coarse], dim=1).permute(0, 2, 3, 1)

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        points = torch.cat([self.features(each).flatten(0, 2) for each in self.batches(train)])
        count = min(int(self.config.share * len(points)), self.config.most)
        self.bank = points[coreset(points, count)]
        self.diagnostics["bank"] = {"points": len(points), "kept": len(self.bank)}

    def cues(self, images: Tensor) -> Cues:
        features = self.features(images)
        # One image at a time: the distances of all would not fit the caches.
        nearest = torch.stack(
            [torch.cdist(each.flatten(0, 1), self.bank).amin(dim=1) for each in features]
        ).reshape(features.shape[:3])
        size = images.shape[-1]
        maps = smoothed(resized(nearest, size), 4.0 * size / 256)
        return Cues({"nearest": nearest.flatten(1).amax(dim=1).double()}, {"nearest": maps})


def memory_bytes(detector: Any) -> int:
    """What is kept of normal images, the encoder left out."""
    if isinstance(detector, PatchCore):
        return detector.bank.numel() * 4
    kept = [*detector.network.memories.state_dict().values()]
    kept += detector.maps.state_dict().values()
    return sum(each.numel() * each.element_size() for each in kept)


def pace(detector: Any) -> dict[str, float]:
    """Milliseconds an image: in all, of the encoder alone, and the difference."""
    size = detector.config.image_size
    images = torch.rand(16, 3, size, size).contiguous(memory_format=torch.channels_last)
    encoder = detector.encoder if isinstance(detector, PatchCore) else detector.network.encoder

    def alone() -> None:
        with torch.inference_mode():
            encoder(images * 2 - 1)

    one, whole = (1e3 * each / 16 for each in alternately(alone, lambda: detector.raw_cues(images)))
    return {"encoder": round(one, 2), "all": round(whole, 2), "beyond": round(whole - one, 2)}


def measured(call: argparse.Namespace, label: str, detector: Detector) -> None:
    """Fit, evaluate, record."""
    start = time.monotonic()
    detector.fit(call.dataset / "train" / "good", seed=call.seed)
    seconds = time.monotonic() - start
    found = oddlens.evaluate(detector, call.dataset, bootstrap=call.bootstrap, seed=call.seed)
    metrics = {key: value for key, value in found.metrics.items() if key != "provenance"}
    record = {
        "data": call.name,
        "label": label,
        "seed": call.seed,
        "method": detector.method,
        "options": detector.config.model_dump(mode="json"),
        "fit_seconds": round(seconds, 1),
        "memory_bytes": memory_bytes(detector),
        "ms_an_image": pace(detector),
        "metrics": metrics,
        "by_defect": found.by_defect,
        "diagnostics": detector.diagnostics,
        "data_sha256": data_hash(call.dataset),
        "provenance": call.origin,
    }
    append(OUT, record)
    print(label, round(seconds, 1), record["ms_an_image"], record["memory_bytes"], flush=True)
    print({k: v for k, v in metrics.items() if isinstance(v, float | list | dict)}, flush=True)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", required=True, help="what the data set is called in the records")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.1, help="of its features the peer keeps")
    parser.add_argument("--bootstrap", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["anomem", "patchcore"], help="labels")
    call = parser.parse_args()
    call.origin = provenance()
    done = {(each["data"], each["label"], each["seed"]) for each in recorded(OUT)}
    for name in call.only:
        peer = name == "patchcore"
        label = f"patchcore, {call.share:.0%} kept" if peer and call.share != 0.1 else name
        if (call.name, label, call.seed) in done:
            continue
        if peer:
            measured(call, label, PatchCore(share=call.share))
        else:
            options = {"encoder": "efficientnet_lite0", **VARIANTS[name]}
            measured(call, label, oddlens.AnoMem(**options))


if __name__ == "__main__":
    main()
