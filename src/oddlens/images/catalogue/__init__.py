"""Named data sets of classes: what they are, how to obtain them, and how to read them.

``open_data("fashion-mnist", root)`` gives labelled training and test images.
"""

from __future__ import annotations

from oddlens.images.catalogue.attacks import BONA_FIDE
from oddlens.images.catalogue.entries import CATALOGUE, find_entry, open_data
from oddlens.images.catalogue.entry import Entry
from oddlens.images.catalogue.flips import (
    Content,
    Flips,
    fitting_flips,
    fitting_jitter,
    fitting_rim,
)
from oddlens.images.catalogue.labelled import ClassData, Images, LabelledImages

__all__ = [
    "BONA_FIDE",
    "CATALOGUE",
    "ClassData",
    "Content",
    "Entry",
    "Flips",
    "Images",
    "LabelledImages",
    "find_entry",
    "fitting_flips",
    "fitting_jitter",
    "fitting_rim",
    "open_data",
]
