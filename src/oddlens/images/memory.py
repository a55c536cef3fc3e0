"""How much memory can still be used, without another dependency."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_UNKNOWN = 4 * 2**30  # a system that tells nothing (Windows) is taken to have 4 GiB to spare
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Give the bytes that new data can use without swapping.

    Linux: MemAvailable, or what the control group of a container leaves where that is less.
    Elsewhere: half of the physical memory where the system tells it, else 4 GiB (our choice).
    """
    return max(min(_machine(), _container()), 0)


def _machine() -> int:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _container(group: Path = _CGROUP) -> int:
    """Give what the control group leaves: version 2, then version 1; no limit is a huge one."""
    old = group / "memory"
    for limit_file, used_file, stat_file, cached in (
        (group / "memory.max", group / "memory.current", group / "memory.stat", "inactive_file"),
        (
            old / "memory.limit_in_bytes",
            old / "memory.usage_in_bytes",
            old / "memory.stat",
            "total_inactive_file",
        ),
    ):
        limit, used = _read(limit_file).strip(), _read(used_file).strip()
        if limit.isdigit() and used.isdigit():
            # file pages count as used but are given back when memory is wanted
            return int(limit) - int(used) + _stat(stat_file, cached)
    return sys.maxsize


def _stat(path: Path, key: str) -> int:
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
