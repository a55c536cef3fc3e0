"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

# A worker for each core has one thread, and so have the commands that its tests start: more would
# wait for one another. Read when torch is imported, which is later.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

# A busy machine is not a failure: how long an example takes is nothing that a test may judge.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """A network that a test makes has the same weights each time, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def ctrl_c_works() -> Iterator[None]:
    """Every test meets a working Ctrl-C: a shell that starts tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
