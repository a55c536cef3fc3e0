"""Resident memory while scoring: it must not grow with the number of images.

Usage: ``python benchmarks/memory.py --images 20000``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from records import append, provenance

import oddlens


class MadeImages:
    """An image source that makes each image when it is read."""

    def __init__(self, count: int, side: int = 96) -> None:
        self._count = count
        self._side = side

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """What the image is called."""
        return f"made {index}"

    def read(self, index: int) -> NDArray[np.uint8]:
        """Noise around a grey level."""
        random = np.random.default_rng(index)
        noise = random.integers(0, 60, (self._side, self._side, 1), dtype=np.uint8)
        return np.repeat(noise + np.uint8(90), 3, axis=2)


def resident_mib() -> float:
    """The process's resident memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Score once a tenth of the images, then all, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    call = parser.parse_args()
    detector = oddlens.SSM(
        image_size=64, widths=(16, 16), stem=4, cells=(4, 8), scoring_cells=(8,), rounds=0
    ).fit(MadeImages(64), epochs=1)
    origin = provenance()
    for count in (call.images // 10, call.images):
        samples: list[float] = []

        def watch(phase: str, done: int, total: int, into: list[float] = samples) -> None:
            into.append(resident_mib())

        start = time.monotonic()
        predictions = detector.predict(MadeImages(count), progress=watch)
        assert predictions.maps is not None
        append(
            "speed",
            {
                "what": f"peak memory while scoring {count:,} images with maps",
                "value": round(max(samples), 1),
                "unit": "MiB",
                "note": f"{samples[len(samples) // 10]:.0f} MiB after the first tenth; "
                f"{time.monotonic() - start:.0f} s",
                "provenance": origin,
            },
        )
        print(count, max(samples), samples[len(samples) // 10], flush=True)


if __name__ == "__main__":
    main()
