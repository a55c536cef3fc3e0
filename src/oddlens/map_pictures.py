"""Anomaly maps as picture files: exact 16-bit values, and colours to look at."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from oddlens.errors import OddlensError, UsageError
from oddlens.files import open_to_write
from oddlens.map_store import Map

if TYPE_CHECKING:
    from oddlens.predictions import Predictions

MAX_NAME_BYTES = 200  # File systems allow 255; suffixes and numbers come on top.


def save_maps(predictions: Predictions, folder: Path) -> list[Path]:
    """Write the map of every image as two pictures, of the map's own size.

    ``<name>.map.png`` holds the values in 16 bits of grey on one scale for all images of the call:
    0 is ``low``, the smallest pixel of all maps, and 65535 is ``high``, the largest, so

        value = low + (high - low) * grey / 65535,  within (high - low) / 131070.

    ``<name>.heat.png`` shows it in colours, black to yellow (matplotlib's "inferno"), also on one
    scale for all: black is ``low``, and the middle of the colours, orange-red, is the pixel
    threshold (without one, yellow is ``high``). ``maps.json`` says ``low``, ``high``, and which
    files belong to which image.

    ``<name>`` is the stem of the image's file; images of the same stem get as many folders before
    it as tell them apart ("crack_000", "good_000"), or a number.

    Args:
        predictions: with maps.
        folder: made where it is missing; files of the same names are replaced.

    Returns:
        The N ``.map.png`` files, in the order of the predictions.

    Raises:
        UsageError: there are no maps.
        OddlensError: a picture cannot be written.
    """
    maps = predictions.maps
    if maps is None:
        raise UsageError("there are no anomaly maps to save: score with maps, by a method that has")
    low, high = _range(maps)
    threshold = predictions.pixel_threshold
    top = high if threshold is None or threshold.value <= low else 2 * threshold.value - low
    colours = _colours()
    names = unique_names(predictions.names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in zip(names, maps, strict=True):
            grey = np.rint(_share(values, low, high) * 65535).astype(np.uint16)
            Image.fromarray(grey).save(folder / f"{name}.map.png")
            levels = np.rint(_share(values, low, top) * 255).astype(np.uint8)
            Image.fromarray(colours[levels]).save(folder / f"{name}.heat.png")
    except OSError as error:
        raise OddlensError(f"cannot write maps to {folder}: {error.strerror or error}") from error
    files = [
        {"path": path, "map": f"{name}.map.png", "heat": f"{name}.heat.png"}
        for path, name in zip(predictions.names, names, strict=True)
    ]
    with open_to_write(folder / "maps.json") as file:
        json.dump({"low": low, "high": high, "maps": files}, file, allow_nan=False, indent=1)
    return [folder / f"{name}.map.png" for name in names]


def unique_names(names: Sequence[str]) -> list[str]:
    """A short file name, without suffix, for each image; no two are the same, even ignoring case.

    Args:
        names: paths, or names such as "image 17"; the same one may come twice.

    Returns:
        As many names: the stem, after as many of the folders as tell the images apart (beginning
        below the folder that is common to all), and with a number where folders cannot.
    """
    parts = _below_common_folder([_safe_parts(name) for name in names])
    chosen = [part[-1] for part in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        counts = Counter(map(str.casefold, chosen))
        chosen = [
            _shortened("_".join(part[-depth:])) if counts[name.casefold()] > 1 else name
            for part, name in zip(parts, chosen, strict=True)
        ]
    return _numbered(chosen)


def _safe_parts(name: str) -> tuple[str, ...]:
    """The folders and the stem, without characters that some file system refuses."""
    path = PurePath(unicodedata.normalize("NFC", name))
    parts = [re.sub(r"[^\w.\-]+", "_", part).lstrip(".") for part in (*path.parts[:-1], path.stem)]
    return tuple(_shortened(part or "_") for part in parts)


def _below_common_folder(parts: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    folders = [part[:-1] for part in parts]
    common = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        common += 1
    return [part[common:] for part in parts]


def _numbered(names: list[str]) -> list[str]:
    taken: set[str] = set()
    uses: Counter[str] = Counter()
    result = []
    for name in names:
        free = name
        while free.casefold() in taken:
            uses[name] += 1
            free = f"{name}-{uses[name] + 1}"
        taken.add(free.casefold())
        result.append(free)
    return result


def _shortened(name: str) -> str:
    return name.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")


def _range(maps: Sequence[Map]) -> tuple[float, float]:
    ends = [(float(values.min()), float(values.max())) for values in maps]
    return min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)


def _share(values: Map, low: float, high: float) -> npt.NDArray[np.float64]:
    """0 at ``low``, 1 at ``high`` and beyond; 0 everywhere where all values are the same."""
    if high <= low:
        return np.zeros(values.shape)
    return np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)


def _colours() -> npt.NDArray[np.uint8]:
    """The 256 colours, (256, 3): perceptually uniform, and readable in grey print."""
    from matplotlib import colormaps

    colours: npt.NDArray[np.uint8] = colormaps["inferno"](np.arange(256), bytes=True)
    return colours[:, :3]
