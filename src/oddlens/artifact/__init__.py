"""A fitted detector on disk: a folder of safetensors, JSON and a model card. Never a pickle.

The format, version 1:

* ``model.safetensors``: the weights.
* ``calibration.json``: what the held-out normal images said.
* ``README.md``: the model card.
* ``config.json``: the method and its options, the provenance, the SHA-256 of the three files
  above, and under ``digest`` its own: the SHA-256 of ``config.json`` as it is on disk, with 64
  zeros in the place of the digest.
* ``members/<name>/``: of an ensemble, the artifact of each member. The SHA-256 of its
  ``config.json`` stands in the ensemble's.

So one changed byte in any of them is found. That protects against damage and mix-ups; it is
no signature: who can write the folder can also write new digests.

JSON has no NaN or infinity; they are written as ``{"$float": "nan"}``, ``"inf"`` and ``"-inf"``.
"""

from __future__ import annotations

from oddlens.artifact.format import FILES, FORMAT_VERSION, Artifact
from oddlens.artifact.read import read_artifact
from oddlens.artifact.write import write_artifact

__all__ = ["FILES", "FORMAT_VERSION", "Artifact", "read_artifact", "write_artifact"]
