"""Style data that anyone can make: glyphs drawn from open fonts, one font a class.

All fonts draw the same glyphs, at the same size on the page, at the same places. So a class differs
from another by its style alone, and not by what is written or how large. The open counterpart of
FounderType, whose fonts are not free.

Training and test images are apart by the place of the glyph: no offset of a test image is one of a
training image, for any glyph. So even where two glyphs of a font are one drawing (``O`` and ``0``,
``I`` and ``l``), no image is on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from oddlens.demo.whole import README, made_whole
from oddlens.errors import DataError, UsageError
from oddlens.images.files import list_files

GLYPHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SUFFIXES = (".ttf", ".otf", ".ttc")
SHIFT = 2
"""By so many pixels a glyph may lie off the centre, each way."""
SIZES = (-1, 0, 1)
"""In pixels, beside the common size of the letters."""
TEST_PLACES = 8
"""Of the 25 offsets, those of test images; the others are those of training images."""

_MARGIN = 1
_LEAST = 10
_OWN = (
    *("DejaVuSans*.ttf", "DejaVuSerif*.ttf", "STIXGeneral*.ttf"),
    *("cmb10.ttf", "cmr10.ttf", "cmss10.ttf", "cmti10.ttf", "cmtt10.ttf"),
)
_README = """{marker}

One class a font: {fonts}.

Each image shows one of the glyphs {glyphs} in white on black, {size} x {size} pixels, letters
{letters} pixels to the em and one more or less. The glyph's box is centred and shifted by up to
{shift} pixels. All fonts show the same glyphs at the same sizes and places. Offsets of test images
are none of those of training images.

The pictures are as free as the fonts that they were drawn with.
"""

Grey = npt.NDArray[np.uint8]
Place = tuple[int, int, int]
"""Of a glyph: right, down, and pixels beside the common size."""


@dataclass(frozen=True)
class FontData:
    """What was made.

    Attributes:
        root: its folder: ``train/<font>/`` and ``test/<font>/``.
        fonts: the classes, sorted.
        letters: pixels to the em.
        left_out: fonts that cannot take part, and why.
    """

    root: Path
    fonts: tuple[str, ...]
    letters: int
    left_out: dict[str, str]


def matplotlib_fonts() -> list[Path]:
    """The text fonts that lie inside the matplotlib wheel: DejaVu, STIX and Computer Modern."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    return sorted(
        {found for each in _OWN for found in folder.glob(each) if "Display" not in found.stem}
    )


def find_fonts(where: Sequence[str | Path]) -> list[Path]:
    """Font files by name, and those below folders.

    Raises:
        DataError: there is no such file or folder, or no font in it.
    """
    found: list[Path] = []
    for path in map(Path, where):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        inside = [path] if path.is_file() else list_files(path)
        fonts = [each for each in inside if each.suffix.lower() in SUFFIXES]
        if not fonts:
            raise DataError(f"{path}: holds no fonts, looked for {', '.join(SUFFIXES)}")
        found += fonts
    return list(dict.fromkeys(found))


def make_font_dataset(
    out: str | Path,
    fonts: Sequence[Path] | None = None,
    *,
    size: int = 32,
    glyphs: str = GLYPHS,
    n_train: int = 6,
    n_test: int = 3,
    seed: int = 0,
) -> FontData:
    """Draw a style data set, as grey PNG files.

    The same fonts and arguments give the same pixels. The folder appears whole or not at all;
    where it already holds the data set of the same arguments, nothing is done.

    Args:
        out: the folder to make.
        fonts: font files; None for ``matplotlib_fonts``.
        size: side of the images in pixels, 16 to 512.
        glyphs: what is drawn; a font that lacks one is left out.
        n_train: training images of each glyph, at least 1, at most 51 (different places).
        n_test: likewise of the test, at most 24.
        seed: of the places, at least 0.

    Raises:
        UsageError: an argument is out of range, or the letters would be too small to be told apart.
        DataError: fewer than two fonts can take part, or the folder holds something else.
    """
    glyphs = "".join(dict.fromkeys(glyphs))
    _check(size, glyphs, n_train, n_test, seed)
    chosen, left_out = _able(matplotlib_fonts() if fonts is None else fonts, glyphs)
    if len(chosen) < 2:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataError(
            f"a style data set needs two fonts, but {len(chosen)} can take part"
            + (f" ({reasons})" if reasons else "")
        )
    letters = _common_size(chosen, glyphs, size)
    names = tuple(sorted(chosen))
    marker = (
        f"oddlens font data: size={size} train={n_train} test={n_test} seed={seed} "
        f"glyphs={glyphs} fonts={','.join(names)}"
    )

    def write(root: Path) -> None:
        for name in names:
            pictures = _Pictures(chosen[name], letters, size)
            for part, glyph, number, place in _places(glyphs, n_train, n_test, seed):
                path = root / part / name / f"{ord(glyph):04x}-{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pictures.draw(glyph, place)).save(path)
        text = _README.format(
            marker=marker,
            fonts=", ".join(names),
            glyphs=glyphs,
            size=size,
            letters=letters,
            shift=SHIFT,
        )
        (root / README).write_text(text, encoding="utf-8")

    made_whole(Path(out), marker, write)
    return FontData(Path(out), names, letters, left_out)


class _Pictures:
    """Draws the glyphs of one font."""

    def __init__(self, font: Path, letters: int, size: int) -> None:
        self._size = size
        self._fonts = {each: _opened(font, letters + each) for each in SIZES}

    def draw(self, glyph: str, place: Place) -> Grey:
        """White on black, uint8 (size, size): the glyph's box centred, then shifted."""
        right, down, bigger = place
        font = self._fonts[bigger]
        box = font.getbbox(glyph)
        left, top = (
            (self._size - int(high - low)) // 2 - int(low) + shift
            for low, high, shift in ((box[0], box[2], right), (box[1], box[3], down))
        )
        page = Image.new("L", (self._size, self._size))
        ImageDraw.Draw(page).text((left, top), glyph, fill=255, font=font)
        return np.asarray(page)


def _places(
    glyphs: str, n_train: int, n_test: int, seed: int
) -> Iterator[tuple[str, str, int, Place]]:
    """Part, glyph, number and place of every image: the same for all fonts."""
    offsets = list(product(range(-SHIFT, SHIFT + 1), repeat=2))
    order = np.random.default_rng([seed, 0]).permutation(len(offsets))
    parts = (("test", order[:TEST_PLACES], n_test), ("train", order[TEST_PLACES:], n_train))
    for (part, allowed, count), (at, glyph) in product(parts, enumerate(glyphs)):
        places = [(*offsets[each], bigger) for each in allowed for bigger in SIZES]
        rng = np.random.default_rng([seed, 1, at])
        for number, chosen in enumerate(rng.permutation(len(places))[:count]):
            yield part, glyph, number, places[chosen]


def _able(fonts: Sequence[Path], glyphs: str) -> tuple[dict[str, Path], dict[str, str]]:
    """Those that can take part, by the name of their class, and why others cannot."""
    able: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    drawn: dict[bytes, str] = {}
    for path in fonts:
        name = re.sub(r"[^\w.-]+", "-", path.stem)
        if name in able:
            left_out[str(path)] = f"another font is called {name}"
            continue
        reason = _refused(path, glyphs)
        if not reason:
            look = b"".join(bytes(_opened(path, 24).getmask(glyph)) for glyph in glyphs)
            reason = f"draws what {drawn[look]} draws" if look in drawn else ""
            drawn.setdefault(look, name)
        if reason:
            left_out[name] = reason
        else:
            able[name] = path
    return able, left_out


def _refused(path: Path, glyphs: str) -> str:
    """Why a font cannot take part; "" where it can."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(str(path)).get_charmap()
        font = _opened(path, 24)
    except (OSError, RuntimeError) as error:
        return f"cannot be read as a font ({error})"
    missing = [glyph for glyph in glyphs if ord(glyph) not in known]
    if missing:
        return f"has no {' '.join(missing[:5])}" + (" and others" if missing[5:] else "")
    looks = {bytes(font.getmask(glyph)) for glyph in glyphs}
    if len(looks) <= len(glyphs) // 2 or b"" in looks:
        return "draws many of the glyphs alike or not at all"
    return ""


def _common_size(fonts: dict[str, Path], glyphs: str, size: int) -> int:
    """The largest em in pixels at which every glyph of every font stays on the page."""
    room = size - 2 * (SHIFT + _MARGIN)
    for letters in range(size, _LEAST - 1, -1):
        widest = max(
            max(box[2] - box[0], box[3] - box[1])
            for path in fonts.values()
            for font in [_opened(path, letters + max(SIZES))]
            for box in map(font.getbbox, glyphs)
        )
        if widest <= room:
            return letters
    raise UsageError(
        f"size is {size}: some glyph of {', '.join(fonts)} would need letters below {_LEAST} "
        "pixels to stay on the page; use larger images or fewer fonts"
    )


def _opened(path: Path, letters: int) -> ImageFont.FreeTypeFont:
    # Basic layout, which every build of Pillow has: the same pixels wherever they are drawn.
    return ImageFont.truetype(str(path), letters, layout_engine=ImageFont.Layout.BASIC)


def _check(size: int, glyphs: str, n_train: int, n_test: int, seed: int) -> None:
    if not 16 <= size <= 512:
        raise UsageError(f"size is {size}; it must be 16 to 512 pixels")
    if len(glyphs) < 2 or any(glyph.isspace() for glyph in glyphs):
        raise UsageError("glyphs: give at least two different ones, none of them a space")
    most = ((2 * SHIFT + 1) ** 2 - TEST_PLACES) * len(SIZES), TEST_PLACES * len(SIZES)
    for name, count, limit in (("n_train", n_train, most[0]), ("n_test", n_test, most[1])):
        if not 1 <= count <= limit:
            raise UsageError(f"{name} is {count}; it must be from 1 to {limit}")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be at least 0")
