"""Named data sets with a class for each image, for the protocols of evaluation."""

from __future__ import annotations

from oddlens.images.named.catalogue import CATALOGUE, Entry, flips_for, open_named
from oddlens.images.named.labelled import Labelled, NamedData

__all__ = ["CATALOGUE", "Entry", "Labelled", "NamedData", "flips_for", "open_named"]
