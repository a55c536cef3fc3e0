"""How fast the recognition methods are, as ratios measured in one run.

    python benchmarks/task_speed.py

The same compact encoder in all of them, random images; each ratio compares things that are measured
alternately, and takes the medians. Run it on a machine that does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from records import append, provenance
from speed import CPU, alternately
from torch.utils._pytree import tree_leaves

import oddlens
from oddlens.training import choose_precision

SIDE, WIDTHS, STEM = 36, (32, 64, 128), 2
"""One network for all, whatever each method's defaults are."""
SCORED = 64
SHARED: dict[str, Any] = {"image_size": SIDE, "widths": WIDTHS, "stem": STEM}


def scoring(tell: Callable[..., None]) -> None:
    """Passes of the encoder an image, and milliseconds an image, of every method."""
    literal = {**SHARED, "ood": "softmax_truth"}
    detectors: dict[str, oddlens.Detector] = {
        "MultiTask": oddlens.MultiTask(**literal),
        "MultiCue, puzzle and tint": oddlens.MultiCue(**SHARED, tasks=["puzzle", "tint"]),
        "MultiCue": oddlens.MultiCue(**SHARED),
        "MHRot": oddlens.GeometricTransforms(**literal, variant="mhrot"),
        "GeoTrans": oddlens.GeometricTransforms(**literal, variant="geotrans"),
    }
    images = torch.rand(SCORED, 3, SIDE, SIDE)
    seconds = alternately(
        *(lambda each=each: each.raw_cues(images) for each in detectors.values()), rounds=7
    )
    times = dict(zip(detectors, seconds, strict=True))
    for name, detector in detectors.items():
        passes = passed(detector, images[:1])
        tell(f"{name}: passes", passes, "an image", "of encoder and U-Net")
        tell(f"{name}: scoring", 1e3 * times[name] / SCORED, "ms/image", "tensors, cues only")
        if name not in ("MHRot", "GeoTrans"):
            ratio = times["MHRot"] / times[name], times["GeoTrans"] / times[name]
            tell(f"{name}: faster than MHRot", ratio[0], "times", "same encoder")
            tell(f"{name}: faster than GeoTrans", ratio[1], "times", "same encoder")


def passed(detector: Any, image: torch.Tensor) -> int:
    """Images that go through the encoder, and through the U-Net where there is one, for one."""
    count = 0

    def counted(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal count
        count += len(inputs[0])

    modules = [
        module
        for name, module in detector.named_modules()
        if name in ("network.encoder", "pieces.encoder", "unet")
    ]
    hooks = [module.register_forward_pre_hook(counted) for module in modules]
    detector.raw_cues(image)
    for hook in hooks:
        hook.remove()
    return count


def training(tell: Callable[..., None]) -> None:
    """A training step with all its transforms against the bare network on ready-made images.

    The bare network is the encoder with its heads, or the U-Net, and the mean of their squares for
    a loss. The encoder alone is told as well. MultiCue has the network of the others at first, and
    then its own; re-colorization is told with and without attention, which is one more pass of the
    encoder and no transform.
    """
    shaken: dict[str, Any] = {"flips": "horizontal", "jitter": 2}
    pieces, colours = oddlens.MultiCue(**shaken).stages()
    unweighed = oddlens.MultiCue(**shaken, attention="u").stages()[1]
    measured = {
        "MultiTask": oddlens.MultiTask(**SHARED, **shaken).stages()[0],
        "MultiCue, puzzle and tint": oddlens.MultiCue(**SHARED, **shaken).stages()[0],
        "MultiCue as it comes, puzzle and tint": pieces,
        "MultiCue as it comes, re-colorization": colours,
        "MultiCue as it comes, re-colorization without attention": unweighed,
    }
    bf16 = choose_precision(CPU) == "bf16"
    for name, stage in measured.items():
        module = stage.module.train()
        optimizer = stage.optimizer(module.parameters())
        images = torch.rand(stage.batch_size, 3, SIDE, SIDE)
        generator = torch.Generator().manual_seed(0)
        encoder = getattr(module, "encoder", module)
        ready = shown_to(encoder, lambda s=stage, i=images, g=generator: s.loss(i, g))

        def step(
            loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer = optimizer
        ) -> None:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                value = loss()
            value.backward()
            optimizer.step()

        whole, bare, alone = alternately(
            lambda s=stage, i=images, g=generator: step(
                lambda: torch.stack(list(s.loss(i, g).values())).sum()
            ),
            lambda m=module, r=ready: step(lambda: squares(m(r))),
            lambda e=encoder, r=ready: step(lambda: squares(e(r))),
            rounds=31,
        )
        note = f"{len(ready)} images a step at {SIDE} px, {'bf16' if bf16 else 'float32'}"
        if encoder is not module:
            tell(f"{name}: bare encoder's step", 1e3 * alone, "ms", note)
        tell(f"{name}: bare network's step", 1e3 * bare, "ms", note)
        tell(f"{name}: step with mirroring, shifts, transforms", 1e3 * whole, "ms", note)
        if encoder is not module:
            tell(f"{name}: overhead over the encoder", 100 * (whole / alone - 1), "%", "")
        tell(f"{name}: overhead", 100 * (whole / bare - 1), "%", "target: at most 10")


def shown_to(module: torch.nn.Module, work: Callable[[], Any]) -> torch.Tensor:
    """The images that a module gets while that work is done, made ready for another pass."""
    shown: list[torch.Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    work()
    hook.remove()
    return shown[0].detach().contiguous(memory_format=torch.channels_last)


def squares(answers: Any) -> torch.Tensor:
    """The mean of squares over a tensor, or over all of them in a container."""
    leaves = [each for each in tree_leaves(answers) if isinstance(each, torch.Tensor)]
    return torch.stack([each.float().square().mean() for each in leaves]).sum()


def main() -> None:
    """Measure everything and append it to results/speed.jsonl."""
    origin = provenance()

    def tell(what: str, value: float, unit: str, note: str) -> None:
        print(f"{what:56} {value:10.2f} {unit:10} {note}", flush=True)
        record = {"what": what, "value": round(value, 3), "unit": unit, "note": note}
        append("speed", {**record, "provenance": origin})

    scoring(tell)
    training(tell)


if __name__ == "__main__":
    main()
