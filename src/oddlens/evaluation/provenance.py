"""Where a measurement comes from: code, command, machine, moment."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import oddlens


def provenance(command: str) -> dict[str, Any]:
    """Version and commit of the code, the command, hardware and versions beneath.

    Args:
        command: what repeats the measurement; it should name no place on a machine.
    """
    import torch

    return {
        "oddlens": oddlens.__version__,
        **_commit(Path(oddlens.__file__).parent),
        "command": command,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        },
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def peak_memory_mib() -> int:
    """The process's largest resident memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def _commit(source: Path) -> dict[str, Any]:
    """The commit that the code is of, where it runs from a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(source), *words],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    # Installed below somebody's own repository, that one's commit says nothing of this code.
    if commit is None or git("ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--", "."))}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
