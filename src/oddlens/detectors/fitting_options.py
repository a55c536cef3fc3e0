"""A method's options by what images show, where nobody set them: the rules of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddlens.images.catalogue import Content, fitting_flips, fitting_jitter, fitting_rim
from oddlens.options import DetectorOptions

_SIZED_BY_HAND = {"rim", "image_size", "shift", "grid"}
"""Options that a rim goes with: where one of them is given, the rule adds none."""

_SHIFTS = {"vertical", "horizontal"}
"""The tasks that see a rim."""


def fitting_options(
    options: type[DetectorOptions], given: Mapping[str, Any], content: Content
) -> dict[str, Any]:
    """What was given, with mirroring, shifts and rim as they fit what the images show.

    With a rim the image is larger, so that the network's input keeps its size; it shows the middle.

    Args:
        options: of a method; those that it does not have are not added.
        given: options that somebody set, which stay.
        content: what the images show.

    Raises:
        UsageError: there is no such preset.
    """
    fitting, known = dict(given), options.model_fields
    if (jitter := fitting_jitter(content)) and "jitter" in known:
        fitting.setdefault("jitter", jitter)
    if (rim := fitting_rim(content)) and "rim" in known and _may_have_a_rim(given):
        preset = {"preset": given["preset"]} if "preset" in given else {}
        fitting |= {"rim": rim, "image_size": options.make({**preset, "rim": rim}).image_size}
    if "flips" in known and "flips" not in given:
        # Of GeoTrans, mirroring is one of the questions.
        flips = "none" if given.get("variant") == "geotrans" else fitting_flips(content)
        fitting["flips"] = flips != "none" if isinstance(known["flips"].default, bool) else flips
    return fitting


def _may_have_a_rim(given: Mapping[str, Any]) -> bool:
    return not given.keys() & _SIZED_BY_HAND and bool(_SHIFTS & set(given.get("tasks", _SHIFTS)))
