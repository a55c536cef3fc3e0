"""Every detector, as small as it gets, fitted for one epoch; and images to score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlens.detector import Detector
from oddlens.detectors import get_method
from oddlens.ensemble import Ensemble
from oddlens.networks.pretrained import register_encoder
from tests.networks.test_pretrained import Toy

SIDE = 24
_SMALL = {"image_size": SIDE, "batch_size": 8}
_RECOGNISES = {**_SMALL, "widths": (8, 8)}
_LITERAL: dict[str, Any] = {
    "encoder": "wrn",
    "ood": "mahalanobis",
    "tasks": ("rotation", "jigsaw"),
    "fusion": "max",
}
_REFINED: dict[str, Any] = {"rounds": 3, "quantiles": (0.3, 0.6), "outside": "zero"}
_REMEMBERS: dict[str, Any] = {**_SMALL, "widths": (8, 12, 16), "slots": 6, "beta": 24.0}
_FROZEN: dict[str, Any] = {"encoder": "toy", "image_size": SIDE, "slots": 8}
_LITE: dict[str, Any] = {
    "encoder": "efficientnet_lite0",
    "subject": "kind",
    "mirrored": True,
    "image_size": 32,
    "slots": 4,
}
_SSM: dict[str, Any] = {
    "image_size": 32,
    "batch_size": 8,
    "widths": (8, 8),
    "stem": 2,
    "cells": (4, 8),
    "scoring_cells": (4, 8),
    "spread_images": 8,
    "sigmas": (1.0, 4.0),
}
_BRIEF: dict[str, Any] = {
    **_SSM,
    "image_size": 16,
    "cells": (2, 4),
    "scoring_cells": (2, 4),
    "cues": ("structure", "darker"),
    "quantiles": (0.5, 0.5),
}


def pictures(count: int, seed: int, side: int = 40) -> NDArray[np.uint8]:
    """Coloured gradients of random hues under noise, ``(count, side, side, 3)``."""
    random = np.random.default_rng(seed)
    ends = random.uniform(0, 255, (2, count, 1, 1, 3))
    slope = np.linspace(0, 1, side)[None, None, :, None]
    made = ends[0] * slope + ends[1] * (1 - slope) + random.normal(0, 15, (count, side, side, 3))
    small: NDArray[np.uint8] = np.clip(made, 0, 255).astype(np.uint8)
    return small


def odd_pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """The same, every second one with a black square."""
    made = pictures(count, seed)
    made[::2, 5:17, 8:20] = 0
    return made


def _one(method: str, **options: Any) -> Callable[[], Detector]:
    return lambda: get_method(method)(**options)


def _joined(fusion: Any) -> Callable[[], Detector]:
    """Members of three kinds: of another size, without a map, with a map of another size."""

    def made() -> Detector:
        members = [
            _one("anomem", **_REMEMBERS),
            _one("anomem", **{**_REMEMBERS, "image_size": 32}),
            _one("multitask", **_RECOGNISES, tasks=("rotation",)),
        ]
        return Ensemble([make() for make in members], fusion=fusion)

    return made


MODELS: dict[str, Callable[[], Detector]] = {
    "ssm": _one("ssm", **_SSM),
    "ssm drawn": _one("ssm", **_BRIEF),
    "ssm rounds": _one("ssm", **_SSM, **_REFINED),
    "ssm surface": _one(
        "ssm", **{**_SSM, "scoring_cells": (5,)}, equalise=4.0, cues=("structure", "intensity")
    ),
    "ssm official": _one("ssm", **_SSM, variant="official"),
    "multitask": _one("multitask", **_RECOGNISES),
    "multitask rim": _one("multitask", **_RECOGNISES, rim=3),
    "multitask wrn": _one("multitask", **_SMALL, **_LITERAL),
    "mhrot": _one("geometric", **_RECOGNISES, variant="mhrot", fusion="median"),
    "geotrans": _one("geometric", **_RECOGNISES, variant="geotrans"),
    "multicue": _one(
        "multicue", **_RECOGNISES, unet_widths=(8, 8), permutations=2, fusion="stouffer"
    ),
    "anomem": _one("anomem", **_REMEMBERS, pooling="top", evidence=("memory", "mahalanobis")),
    "anomem few": _one("anomem", **_REMEMBERS, evidence=("memory", "distance")),
    "anomem baselines": _one("anomem", **_REMEMBERS, evidence=("memory", "kmeans", "features")),
    "anomem distance": _one("anomem", **_REMEMBERS, distance_weight=1.0),
    "anomem frozen": _one("anomem", **_FROZEN, evidence=("memory", "kmeans")),
    "anomem kind": _one(
        "anomem", **_FROZEN, subject="kind", mirrored=True, evidence=("memory", "kmeans")
    ),
    "anomem lite": _one("anomem", **_LITE),
    "anomem surface": _one("anomem", **_FROZEN, subject="surface"),
    "ensemble": _joined("fisher"),
    "ensemble stouffer": _joined("stouffer"),
    "ensemble mean": _joined("mean"),
}


def fitted(name: str) -> Detector:
    """One of ``MODELS``, fitted."""
    register_encoder("toy", Toy)
    detector = MODELS[name]()
    # A memory that was hardly trained recalls the same for everything, and is refused.
    epochs = 20 if name.startswith(("anomem", "ensemble")) else 2
    few = odd_pictures(4, seed=5) if name in ("anomem few", "anomem distance") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return detector.fit(
            pictures(30, seed=1), epochs=epochs, holdout=0.6, device="cpu", anomalies=few
        )
