"""Which arithmetic training takes on which machine."""

from __future__ import annotations

import pytest
import torch

from oddlens.training.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"),
    [(False, False, "32"), (True, False, "bf16"), (False, True, "bf16"), (True, True, "bf16")],
)
def test_a_cpu_trains_in_what_it_multiplies_natively(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert choose_precision(CPU) == expected


def test_a_torch_that_does_not_say_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert choose_precision(CPU) == "32"


def test_what_is_asked_for_is_taken() -> None:
    assert choose_precision(CPU, "32") == "32"
    assert choose_precision(CPU, "bf16") == "bf16"
