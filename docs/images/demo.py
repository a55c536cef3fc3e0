"""Draw the picture of the README from what `make demo` left behind.

    python docs/images/demo.py .demo

The images are not chosen: one good tile, and of each kind of made defect the second one, which is
of medium strength.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

import oddlens
from oddlens.demo.defects import DEFECTS
from oddlens.report.gallery import scale_of

SIDE, GAP, HEAD, FOOT = 200, 12, 30, 46
INK, FLAGGED, PASSED, PAPER = (40, 40, 48), (190, 20, 60), (20, 110, 70), (255, 255, 255)


def main() -> None:
    """Score the chosen images and draw them above their heat maps."""
    demo = Path(sys.argv[1])
    test = demo / "data" / "brick" / "test"
    paths = [test / "good" / "001.png", *(test / kind / "001.png" for kind in DEFECTS)]
    detector = oddlens.load(demo / "brick.oddlens")
    everything = detector.predict(test, false_alarm_rate=0.05)
    scale = scale_of(everything, range(len(everything)))
    by_name = dict(zip(everything.names, everything, strict=True))
    assert scale is not None

    width = len(paths) * (SIDE + GAP) + GAP
    canvas = Image.new("RGB", (width, HEAD + 2 * SIDE + GAP + FOOT), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=17)
    for column, path in enumerate(paths):
        left = GAP + column * (SIDE + GAP)
        one = by_name[str(path)]
        assert one.map is not None
        photo = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        heat = Image.fromarray(scale.paint(one.map)).resize((SIDE, SIDE))
        canvas.paste(photo, (left, HEAD))
        below = HEAD + SIDE + GAP
        canvas.paste(photo, (left, below))
        canvas.paste(heat, (left, below), heat)
        factor = SIDE / one.map.shape[0]
        for line in find_contours(np.pad(one.map, 1, constant_values=-np.inf), scale.threshold):
            points = [(left + (x - 0.5) * factor, below + (y - 0.5) * factor) for y, x in line]
            draw.line(points, fill=(255, 255, 255), width=2)
        verdict, colour = ("anomaly", FLAGGED) if one.is_anomaly else ("passed", PASSED)
        draw.text((left, 6), path.parent.name, fill=INK, font=font)
        draw.text((left, below + SIDE + 6), verdict, fill=colour, font=font)
        draw.text((left, below + SIDE + 24), f"p = {one.p_value:.2f}", fill=INK, font=font)
    target = Path(__file__).with_suffix(".webp")
    canvas.save(target, quality=80, method=6)
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
