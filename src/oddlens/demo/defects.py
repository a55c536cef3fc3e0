"""The defects that the demo adds to tiles of a surface: one small function a kind.

Everything here is our choice; the aim is a spread of size, contrast and nature, from a
scratch across the picture to wear one has to look for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

Grey: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float64]

# Grey levels (of 255). A change of at most this much counts as no change in the masks.
TOLERANCE = 4
# A defect that covers less of the image, or changes it less on average (grey levels), is drawn
# again: nobody could see it. Wear in the middle of a plain brick, for one, changes nothing.
_MIN_AREA = 0.003
_MIN_CHANGE = 11.0
_TRIES = 40


@dataclass(frozen=True)
class Kind:
    """A kind of defect: what it is in words, and what draws it.

    ``draw(pixels, strength, rng, donors)`` takes float64 ``(H, W)`` in 0..255 and the strength
    in (0, 1], and returns the changed pixels.
    """

    description: str
    draw: Callable[[Field, float, np.random.Generator, Sequence[Grey]], Field]


def add_defect(
    image: Grey, kind: str, *, strength: int, rng: np.random.Generator, donors: Sequence[Grey]
) -> tuple[Grey, npt.NDArray[np.bool_]]:
    """Add one defect to a normal image.

    Args:
        image: uint8 ``(H, W)``.
        kind: a key of ``KINDS``.
        strength: 0 subtle, 1 medium, 2 strong.
        rng: source of every random choice.
        donors: other photographs, uint8 ``(H, W)``, for the kind "foreign".

    Returns:
        The changed image, uint8 ``(H, W)``, and the mask, bool ``(H, W)``: pixels that changed
        by more than ``TOLERANCE``, with gaps and holes filled. Outside the mask no pixel
        changed by more than ``TOLERANCE``.
    """
    before = image.astype(np.float64)
    level = (0.4, 0.65, 1.0)[strength]
    best: tuple[float, Grey, npt.NDArray[np.bool_]] | None = None
    for _ in range(_TRIES):
        drawn = KINDS[kind].draw(before, level, rng, donors)
        after = np.rint(np.clip(drawn, 0, 255)).astype(np.uint8)
        after, mask = _settle(image, after)
        change = np.abs(after[mask].astype(np.float64) - before[mask])
        seen = min(mask.mean() / _MIN_AREA, change.mean() / _MIN_CHANGE) if mask.any() else 0.0
        if best is None or seen > best[0]:
            best = seen, after, mask
        if seen >= 1:
            break
    assert best is not None
    return best[1], best[2]


def _settle(image: Grey, drawn: Grey) -> tuple[Grey, npt.NDArray[np.bool_]]:
    """Keep the change near its main part only, and say where it is."""
    differs = np.abs(drawn.astype(np.int16) - image.astype(np.int16)) > TOLERANCE
    main = _without_specks(differs)
    kept = main | (~differs & ndimage.binary_dilation(main, iterations=3))
    return np.where(kept, drawn, image), _filled(main)


def _without_specks(changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drop lone changed pixels far from the defect, such as a soft edge leaves on rough ground."""
    labels, count = ndimage.label(ndimage.binary_dilation(changed, iterations=2))
    if count <= 1:
        return changed
    areas = ndimage.sum_labels(changed, labels, index=np.arange(1, count + 1))
    keep = 1 + np.flatnonzero(areas >= 0.05 * areas.max())
    return changed & np.isin(labels, keep)


def _filled(changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Close gaps of up to 4 pixels and fill holes; never removes a changed pixel."""
    padded = np.pad(changed, 4)
    closed = ndimage.binary_closing(padded, iterations=2)[4:-4, 4:-4]
    return np.asarray(ndimage.binary_fill_holes(closed | changed))


def _blob(
    shape: tuple[int, int], share: tuple[float, float], soft: float, rng: np.random.Generator
) -> Field:
    """An irregular patch with a soft edge.

    Args:
        shape: of the image.
        share: range of its radius, as a share of the image's side.
        soft: width of the edge, as a share of the radius.
        rng: source of place, size and outline.

    Returns:
        float64 ``(H, W)``: 1 inside, 0 outside, a smooth step between.
    """
    side = min(shape)
    radius = rng.uniform(*share) * side
    centre_y = rng.uniform(0.15, 0.85) * shape[0]
    centre_x = rng.uniform(0.15, 0.85) * shape[1]
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    stretch = rng.uniform(1.0, 1.8)
    turn = rng.uniform(0, np.pi)
    u = (x - centre_x) * np.cos(turn) + (y - centre_y) * np.sin(turn)
    v = (y - centre_y) * np.cos(turn) - (x - centre_x) * np.sin(turn)
    angle = np.arctan2(v * stretch, u)
    outline = np.ones(shape)
    for wave in range(2, 8):
        swing = rng.normal(0, 0.3) / wave
        outline += swing * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    distance = np.hypot(u, v * stretch) / (radius * np.clip(outline, 0.4, 1.6))
    step = np.clip((1 - distance) / soft, 0, 1)
    return np.asarray(step * step * (3 - 2 * step))


def _cloud(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Field:
    """Smooth noise with mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def _foreign(
    pixels: Field, strength: float, rng: np.random.Generator, donors: Sequence[Grey]
) -> Field:
    alpha = _blob(_shape(pixels), (0.06, 0.2), 0.25, rng) * min(1.0, strength + 0.2)
    height, width = pixels.shape
    donor = donors[int(rng.integers(len(donors)))]
    # Enlarge a donor that is smaller than the image, then take a piece with something on it.
    scale = max(1.0, height / donor.shape[0], width / donor.shape[1])
    if scale > 1:
        donor = np.asarray(
            Image.fromarray(donor).resize(
                (int(np.ceil(donor.shape[1] * scale)), int(np.ceil(donor.shape[0] * scale)))
            )
        )
    piece = pixels
    for _ in range(20):
        top = int(rng.integers(0, donor.shape[0] - height + 1))
        left = int(rng.integers(0, donor.shape[1] - width + 1))
        piece = donor[top : top + height, left : left + width].astype(np.float64)
        if piece[alpha > 0].std() > 15:
            break
    # A subtle piece has the brightness of its surroundings: only its texture is wrong.
    inside = alpha > 0
    if inside.any():
        piece = piece + (1 - strength) * (pixels[inside].mean() - piece[inside].mean())
    return np.asarray(pixels * (1 - alpha) + piece * alpha)


def _scratch(
    pixels: Field, strength: float, rng: np.random.Generator, donors: Sequence[Grey]
) -> Field:
    height, width = pixels.shape
    fine = 4
    canvas = Image.new("L", (width * fine, height * fine), 0)
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(1, 3))):
        start = rng.uniform(0.15, 0.85, 2) * (width, height)
        turn = rng.uniform(0, 2 * np.pi)
        length = rng.uniform(0.2, 0.6) * min(height, width)
        bend = rng.normal(0, 0.25)
        along = np.linspace(0, 1, 40)
        heading = turn + bend * along * 2 + np.cumsum(rng.normal(0, 0.05, 40))
        step = length / 40
        points = start + np.cumsum(
            np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0
        )
        thick = rng.uniform(1.0, 2.2) * min(height, width) / 128 * fine
        line = [(float(x) * fine, float(y) * fine) for x, y in points]
        draw.line(line, fill=255, width=max(1, round(thick)), joint="curve")
    groove = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), dtype=np.float64)
    groove /= 255
    # A groove catches light on one rim: that is what makes a scratch look cut in, not painted on.
    rim = np.clip(ndimage.shift(groove, (1, 1), order=1) - groove, 0, 1)
    tone = 90 * strength if rng.random() < 0.4 else -90 * strength
    return np.asarray(pixels + tone * groove - 0.45 * tone * rim)


def _dent(
    pixels: Field, strength: float, rng: np.random.Generator, donors: Sequence[Grey]
) -> Field:
    bump = _blob(_shape(pixels), (0.09, 0.2), 1.0, rng)
    unit = min(pixels.shape) / 128
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(bump, 3 * unit))
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float64)
    reach = 90 * strength * unit**2
    moved = ndimage.map_coordinates(
        pixels, [y + reach * slope_y, x + reach * slope_x], order=1, mode="reflect"
    )
    light = rng.uniform(0, 2 * np.pi)
    slope = np.cos(light) * slope_x + np.sin(light) * slope_y
    shade = 900 * strength * unit * slope
    touched = bump > 0
    return np.where(touched, moved + np.clip(shade, -80, 80), pixels)


def _smear(
    pixels: Field, strength: float, rng: np.random.Generator, donors: Sequence[Grey]
) -> Field:
    alpha = _blob(_shape(pixels), (0.1, 0.22), 0.3, rng)
    unit = min(pixels.shape) / 128
    long, short = (2 + 8 * strength) * unit, (1.2 + 1.5 * strength) * unit
    sigma = (long, short) if rng.random() < 0.5 else (short, long)
    return np.asarray(pixels * (1 - alpha) + ndimage.gaussian_filter(pixels, sigma) * alpha)


def _stain(
    pixels: Field, strength: float, rng: np.random.Generator, donors: Sequence[Grey]
) -> Field:
    alpha = _blob(_shape(pixels), (0.08, 0.24), 0.2, rng)
    cloud = 1 + 0.25 * _cloud(_shape(pixels), 6 * min(pixels.shape) / 128, rng)
    # Dried liquid leaves more at its edge.
    ring = 4 * alpha * (1 - alpha)
    depth = 0.5 * strength * np.clip(alpha * cloud + 0.35 * ring, 0, 1.4)
    if rng.random() < 0.3:
        return np.asarray(pixels + depth * (235 - pixels))
    return np.asarray(pixels * (1 - depth))


def _shape(pixels: Field) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


KINDS: dict[str, Kind] = {
    "foreign": Kind("a piece of another photograph, blended in with a soft edge", _foreign),
    "scratch": Kind("one or two drawn scratches with a lit rim", _scratch),
    "dent": Kind("the picture bent and shaded as by a dent", _dent),
    "smear": Kind("a patch blurred as by wear", _smear),
    "stain": Kind("a patch darkened or bleached as by a dried liquid", _stain),
}
DEFECTS: tuple[str, ...] = tuple(KINDS)
