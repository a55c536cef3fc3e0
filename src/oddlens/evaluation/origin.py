"""Where a measurement comes from: commit, command, hardware, versions, and its peak memory."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

import oddlens

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_HERE = Path(__file__).resolve()


def origin(device: torch.device, *, command: str, jobs: int) -> dict[str, Any]:
    """Tell where a measurement comes from.

    Args:
        device: that was computed on.
        command: that was given.
        jobs: how many trials shared the machine.

    Returns:
        ``oddlens``, ``commit`` and ``dirty`` (None outside a git checkout of oddlens),
        ``command``, ``when`` (UTC), ``hardware`` (``cpu, cores, threads, device``), ``jobs``,
        ``torch``, ``python``.
    """
    commit, dirty = checkout()
    on_gpu = device.type == "cuda"
    return {
        "oddlens": oddlens.__version__,
        "commit": commit,
        "dirty": dirty,
        "command": command,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        },
        "jobs": jobs,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def restart_peak_memory() -> None:
    """Begin to measure the peak anew, where the system can."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mib() -> int:
    """The largest resident memory since ``restart_peak_memory``, or else of the process's life."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def peak_gpu_mib(device: torch.device) -> int | None:
    """The largest allocation on a GPU since ``restart_peak_memory``; None on a CPU."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.max_memory_allocated(device)) // 2**20


@cache
def checkout() -> tuple[str | None, bool | None]:
    """Commit, and whether the library was changed since; None where oddlens is installed.

    Asked once in a process. ``run_trial`` asks before it trains: what is edited meanwhile is not
    what runs.
    """
    package = _HERE.parents[1]
    # An environment may lie inside somebody else's checkout.
    if _git(package, "ls-files", "--error-unmatch", str(_HERE)) is None:
        return None, None
    commit = _git(package, "rev-parse", "--short", "HEAD")
    return commit, bool(_git(package, "status", "--porcelain", "--", "."))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # fixed arguments, no shell
            ["git", *arguments],  # noqa: S607  # whichever git the user has
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
