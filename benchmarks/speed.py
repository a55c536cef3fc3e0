"""How fast training and scoring are, as ratios measured in one run.

    python benchmarks/speed.py                      # made images
    python benchmarks/speed.py --model M.oddlens --images FOLDER

Each ratio compares two things measured alternately, and takes the medians. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from records import append, provenance
from torch.utils.flop_counter import FlopCounterMode

import oddlens
from oddlens.images import ImageCache, open_source
from oddlens.pretext.released import ReleasedSettings, released_inference
from oddlens.training import Plan, choose_precision
from oddlens.training.lightning_adapter import StageRun

CPU = torch.device("cpu")


def alternately(*jobs: Callable[[], object], rounds: int = 7) -> list[float]:
    """Median seconds of each job, run in turn after one round of warming up."""
    seconds: list[list[float]] = [[] for _ in jobs]
    for turn in range(rounds + 1):
        for place, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            if turn:
                seconds[place].append(time.perf_counter() - start)
    return [median(each) for each in seconds]


def matrix_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of a square matrix product."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    (seconds,) = alternately(lambda: a @ b)
    return 2 * size**3 / seconds


def training(detector: oddlens.SSM, images: ImageCache, tell: Callable[..., None]) -> None:
    """A whole training step against the network's bare forward and backward."""
    config: Any = detector.config
    stage = detector.stages()[0]
    size, batch = config.image_size, config.batch_size
    bf16 = choose_precision(CPU) == "bf16"
    network = detector.network.train()
    x = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    mask = (torch.rand(batch, 1, size, size) > 0.3).float()
    optimizer = stage.optimizer(network.parameters())
    generator = torch.Generator().manual_seed(0)

    def forward_backward(loss: Callable[[], torch.Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()

    def bare() -> None:
        forward_backward(lambda: sum(out.square().mean() for out in network(x * mask, mask)))

    def with_loss() -> None:
        forward_backward(lambda: torch.stack(list(stage.loss(x, generator).values())).sum())

    steps = 40

    def through_lightning() -> None:
        StageRun(
            detector=detector,
            stage=stage,
            index=0,
            images=images,
            plan=Plan(steps=steps),
            seed=0,
            device=CPU,
            precision="bf16" if bf16 else "32",
        ).run()

    alone, method = alternately(bare, with_loss, rounds=15)
    (run,) = alternately(through_lightning, rounds=2)
    whole = run / steps
    with FlopCounterMode(display=False) as counter:
        network(x, mask)
    rate = 3 * counter.get_total_flops() / alone
    peak = matrix_peak(torch.bfloat16 if bf16 else torch.float32)
    tell("network forward + backward", 1e3 * alone, "ms", f"batch {batch} at {size} px")
    tell("the same with masks and SSM's loss", 1e3 * method, "ms", "")
    tell("whole training step (data, Lightning, Adam)", 1e3 * whole, "ms", "")
    tell("overhead over network + loss", 100 * (whole / method - 1), "%", "target: at most 10")
    tell("overhead over the bare network", 100 * (whole / alone - 1), "%", "loss included")
    tell("achieved in forward + backward", rate / 1e9, "GFLOP/s", "bf16" if bf16 else "float32")
    tell("matrix-product peak", peak / 1e9, "GFLOP/s", "2048 x 2048, same arithmetic")
    tell("share of the peak", 100 * rate / peak, "%", "")


def scoring(detector: oddlens.SSM, folder: Path, tell: Callable[..., None]) -> None:
    """``score`` on a folder of files against the same cues on tensors in memory."""
    source = open_source(folder)
    cache = ImageCache.load(source, detector.config.image_size, on_bad="raise")
    whole = cache.batch(range(len(cache)))
    batches = whole.split(detector.batch_size)

    def on_tensors() -> None:
        for batch in batches:
            detector.raw_cues(batch)

    memory, files = alternately(on_tensors, lambda: detector.score(folder), rounds=3)
    tell("scoring tensors in memory", 1e3 * memory / len(cache), "ms/image", "cues only")
    tell("score on a folder of PNG files", 1e3 * files / len(cache), "ms/image", "everything")
    tell("folder against memory", 100 * memory / files, "%", "target: at least 80")


def inference(detector: oddlens.SSM, folder: Path, tell: Callable[..., None]) -> None:
    """The default inference against the released procedure, one image at a time as released."""
    cache = ImageCache.load(open_source(folder), detector.config.image_size, on_bad="raise")
    images = cache.batch(range(min(32, len(cache))))
    settings = ReleasedSettings(rows_only=False)

    def released() -> None:
        with torch.inference_mode():
            for image in images.split(1):
                released_inference(detector.restore, image, settings, stack=1)

    def ours() -> None:
        for batch in images.split(detector.batch_size):
            detector.raw_cues(batch)

    theirs, mine = alternately(released, ours, rounds=3)
    tell("released procedure, 18 forwards", 1e3 * theirs / len(images), "ms/image", "as released")
    tell("default inference", 1e3 * mine / len(images), "ms/image", "batched, leaves early")
    tell("default against released", theirs / mine, "times", "target: at least 4")


def made_folder(root: Path, count: int = 96, side: int = 256) -> Path:
    """PNG files of smooth noise."""
    random = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(root / f"{index:03}.png")
    return root


def main() -> None:
    """Measure everything and append it to results/speed.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a fitted SSM; else one is fitted briefly")
    parser.add_argument("--images", type=Path, help="a folder of images for scoring")
    call = parser.parse_args()
    origin = provenance()

    def tell(what: str, value: float, unit: str, note: str) -> None:
        print(f"{what:48} {value:10.1f} {unit:10} {note}", flush=True)
        append(
            "speed",
            {
                "what": what,
                "value": round(value, 2),
                "unit": unit,
                "note": note,
                "provenance": origin,
            },
        )

    with tempfile.TemporaryDirectory() as temporary:
        folder = call.images or made_folder(Path(temporary))
        if call.model:
            detector: Any = oddlens.load(call.model)
        else:
            detector = oddlens.SSM().fit(folder, max_minutes=0.5)
        inference(detector, folder, tell)
        scoring(detector, folder, tell)
        cache = ImageCache.load(open_source(folder), detector.config.image_size, on_bad="raise")
        training(detector, cache, tell)


if __name__ == "__main__":
    main()
