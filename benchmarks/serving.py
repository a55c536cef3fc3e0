"""The service under load: no lost and no mixed-up answer, flat memory, latencies, throughput.

    python benchmarks/serving.py                       # 20,000 requests from 32 clients
    python benchmarks/serving.py --requests 500 --dry  # a small one that records nothing

A detector with its default network, fitted for a few epochs on made images and exported: what a
pass costs does not depend on the weights (AnoMem wants some 20 epochs, or refuses what it learned).
Every answer is checked against the image that was sent: its SHA-256, and its score against the
score of the same file in process. Service and clients share the machine's cores, so the throughput
of the service is that of both together. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from PIL import Image
from records import append, provenance
from serving_clients import Outcome, Sent, drive
from speed import alternately, made_folder

from oddlens.detectors import METHODS, get_method
from oddlens.export import load_onnx, to_onnx
from oddlens.export.onnx_detector import OnnxDetector

POOL, FULL = 128, 16
CLIENTS = (1, 8, 32)
PROGRAM = "import sys; from oddlens.cli import main; sys.argv[0] = 'oddlens'; main()"


def exported(method: str, epochs: int, folder: Path) -> OnnxDetector:
    """A detector that was fitted briefly, as a file."""
    images = folder / "train"
    images.mkdir()
    detector = get_method(method)()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a little noise teaches nothing, and says so
        detector.fit(made_folder(images), epochs=epochs, holdout=0.4, device="cpu")
    return load_onnx(to_onnx(detector, folder / f"{method}.onnx").path)


def made_files(folder: Path, side: int) -> list[Path]:
    """Unlike images as JPEG and PNG files, a little larger than the detector looks at."""
    random, files = np.random.default_rng(7), []
    folder.mkdir()
    for at in range(POOL):
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        file = folder / f"{at:03d}.{'jpg' if at % 2 else 'png'}"
        picture.save(file)
        files.append(file)
    return files


def good_images(detector: OnnxDetector, files: list[Path]) -> list[Sent]:
    """The files with their scores in process."""
    scores = detector.predict([str(file) for file in files], maps=False).scores
    return [
        Sent(content := file.read_bytes(), hashlib.sha256(content).hexdigest(), float(score))
        for file, score in zip(files, scores, strict=True)
    ]


def bad_images(good: list[Sent]) -> list[Sent]:
    """Not an image, nothing, and cut short."""
    kinds = [
        (b"no image at all", "not_an_image"),
        (b"", "empty"),
        (good[1].content[: len(good[1].content) // 2], "damaged"),
    ]
    return [Sent(each, hashlib.sha256(each).hexdigest(), None, code) for each, code in kinds]


@contextmanager
def served(model: Path) -> Iterator[tuple[int, int]]:
    """The service as a process: its port, and its number."""
    call = [sys.executable, "-c", PROGRAM, "serve", str(model), "--port", "0"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = iter(process.stderr)
    port = next(entry["port"] for entry in map(json.loads, lines) if entry["event"] == "serving")
    rest = threading.Thread(
        target=lambda: [None for _ in lines], daemon=True
    )  # a full pipe stops it
    rest.start()
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def resident_mib(process: int) -> float:
    """The memory that a process holds now."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) / 1024


class MemoryWatch:
    """Looks at a process's memory twice a second while the block runs."""

    def __init__(self, process: int) -> None:
        self._process, self._end = process, threading.Event()
        self.seen: list[float] = []

    def __enter__(self) -> MemoryWatch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.5):
            self.seen.append(resident_mib(self._process))

    @property
    def growth(self) -> float:
        """MiB from the second tenth of the time to the last: the first one warms up."""
        step = max(1, len(self.seen) // 10)
        return median(self.seen[-step:]) - median(self.seen[step : 2 * step] or self.seen)


def load(port: int, process: int, good: list[Sent], requests: int) -> list[dict[str, object]]:
    """The long load: one image a request, 1 % bad ones, 32 clients."""
    random, bad = np.random.default_rng(11), bad_images(good)
    sent = [
        [bad[at // 100 % len(bad)] if at % 100 == 50 else good[random.integers(len(good))]]
        for at in range(requests)
    ]
    with MemoryWatch(process) as memory:
        outcome = drive(port, sent, 32)
    for problem in (outcome.wrong + outcome.lost)[:5]:
        print("!", problem)
    counts = {
        "requests": requests,
        "answered": len(outcome.seconds),
        "scored": outcome.images,
        "refused as they should": outcome.refused,
        "busy, tried again": outcome.busy,
        "lost": len(outcome.lost),
        "wrong": len(outcome.wrong),
    }
    return [
        {"what": "load", "clients": 32, **counts},
        {"what": "load", "value": round(requests / outcome.wall, 2), "unit": "requests/s"},
        {"what": "memory at the end", "value": round(memory.seen[-1], 1), "unit": "MiB"},
        {"what": "memory growth", "value": round(memory.growth, 1), "unit": "MiB"},
    ]


def latencies(port: int, good: list[Sent], requests: int) -> Iterator[dict[str, object]]:
    """Half and 99 of 100 requests of one image are answered within so many milliseconds."""
    for clients in CLIENTS:
        outcome = drive(port, [[good[at % len(good)]] for at in range(requests)], clients)
        _must_be_right(outcome)
        for share in (50, 99):
            value = 1000 * float(np.percentile(outcome.seconds, share))
            yield {
                "what": f"p{share}",
                "clients": clients,
                "requests": requests,
                "value": round(value, 2),
                "unit": "ms",
            }


def throughput(
    port: int, detector: OnnxDetector, files: list[Path], good: list[Sent], rounds: int
) -> list[dict[str, object]]:
    """Full batches through the service against the same files in process, in turn."""
    names = [str(file) for file in files]
    full = [good[at : at + FULL] for at in range(0, len(good), FULL)]

    def in_process() -> None:
        detector.predict(names, maps=False, batch_size=FULL)

    def by_service() -> None:
        _must_be_right(drive(port, full, 4))

    alone, through = alternately(in_process, by_service, rounds=rounds)
    shared = {"batch": FULL, "clients": 4}
    return [
        {**shared, "what": "in process", "value": round(len(good) / alone, 2), "unit": "images/s"},
        {**shared, "what": "service", "value": round(len(good) / through, 2), "unit": "images/s"},
        {**shared, "what": "service against in process", "value": round(alone / through, 3)},
    ]


def _must_be_right(outcome: Outcome) -> None:
    if outcome.wrong or outcome.lost:
        raise SystemExit(f"wrong: {outcome.wrong[:3]}, lost: {outcome.lost[:3]}")


def measure(call: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """All parts with one method."""
    detector = exported(call.method, call.epochs, folder)
    side = max(detector.metadata.image_sizes)
    files = made_files(folder / "images", side + side // 4)
    good = good_images(detector, files)
    origin = {"method": call.method, "image_sizes": list(detector.metadata.image_sizes)}
    with served(detector.path) as (port, process):
        for part in (
            throughput(port, detector, files, good, call.rounds),
            latencies(port, good, call.each),
            load(port, process, good, call.requests),
        ):
            yield from ({**origin, **record} for record in part)


def main() -> None:
    """Measure, and append to results/serving.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="ssm", choices=sorted(METHODS))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--requests", type=int, default=20_000, help="of the long load")
    parser.add_argument("--each", type=int, default=1000, help="requests for each latency")
    parser.add_argument("--rounds", type=int, default=5, help="of throughput")
    parser.add_argument("--dry", action="store_true", help="print, and record nothing")
    call = parser.parse_args()
    origin = provenance() | {"onnxruntime": onnxruntime.__version__}
    with tempfile.TemporaryDirectory() as temporary:
        started = time.perf_counter()
        for record in measure(call, Path(temporary)):
            print(record, flush=True)
            if not call.dry:
                append("serving", {**record, "provenance": origin})
        print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
