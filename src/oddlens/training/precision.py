"""Which arithmetic training uses on which machine."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "32", "bf16"]


def choose_precision(device: torch.device, wanted: Precision = "auto") -> Literal["32", "bf16"]:
    """The arithmetic of the networks while training.

    bfloat16 where the machine multiplies matrices in it natively (CPUs with AMX tiles: three times
    faster in our trials; CPUs with AVX-512 BF16: a quarter less time a step; GPUs since Ampere),
    else float32. Scoring is always float32, so that a model gives the same numbers on every
    machine.

    Args:
        device: where training runs.
        wanted: ``"32"`` or ``"bf16"`` to decide by hand.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if device.type == "cpu" and _cpu_multiplies_bf16() else "32"


def _cpu_multiplies_bf16() -> bool:
    # Private until torch has public names for them; without them training is slower, not wrong.
    return any(
        getattr(torch.cpu, question, bool)()
        for question in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
