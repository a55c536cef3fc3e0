"""A method's options by what images show, where nobody set them: the rules of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddlens.errors import UsageError
from oddlens.images.catalogue import Content, fitting_flips, fitting_jitter, fitting_rim
from oddlens.options import DetectorOptions


def fitting_options(
    options: type[DetectorOptions], given: Mapping[str, Any], content: Content
) -> dict[str, Any]:
    """What was given, with mirroring, shifts and rim as they fit what the images show.

    A rim makes images larger by itself, so that the network sees as much as without. It is left
    out where size or shift were given, which it goes with.

    Args:
        options: of a method; it is given what it has alone.
        given: options that somebody set, which stay.
        content: what the images show.
    """
    fitting, known = dict(given), options.model_fields
    if (jitter := fitting_jitter(content)) and "jitter" in known:
        fitting.setdefault("jitter", jitter)
    if (rim := fitting_rim(content)) and "rim" in known and not given.keys() & _WITH_RIM:
        size = options.describe(given.get("preset", "compact"))["image_size"].default
        fitting |= {"rim": rim, "image_size": size + 2 * rim}
    if "flips" in known and "flips" not in given:
        flips = fitting_flips(content)
        fitting["flips"] = flips != "none" if isinstance(known["flips"].default, bool) else flips
        try:
            options.make(fitting)
        except UsageError:  # of GeoTrans, mirroring is one of the questions
            fitting["flips"] = "none"
    return fitting


_WITH_RIM = {"rim", "image_size", "shift"}
