"""Work done ahead of the consumer by threads, in order, and never far ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 8  # beyond this, decoding waits for the disk or for Python's lock


def default_workers() -> int:
    """Give the number of decoding threads: the usable cores, at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    return min(os.cpu_count() or 1, _MOST_WORKERS)


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
    workers: int | None = None,
) -> Generator[Result, None, None]:
    """Apply a function to items in threads and yield the results in order.

    At most ``ahead`` results wait at any time, however slow the consumer and however many items
    there are. Closing the generator (or leaving it, or Ctrl-C) drops what has not been started,
    waits for the at most ``workers`` calls under way, and ends the threads.

    Args:
        function: called with one item; must be safe to call from several threads.
        items: taken one by one as there is room.
        ahead: how many items may be started but not yet handed over, at least 1.
        workers: threads; None for ``default_workers()``.

    Yields:
        The results, in the order of the items.

    Raises:
        Exception: whatever ``function`` raises, when its item's turn comes.
    """
    waiting: deque[Future[Result]] = deque()
    left = iter(items)
    pool = ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="oddlens-images")

    def start(count: int) -> None:
        for item in islice(left, count):
            waiting.append(pool.submit(function, item))

    def take() -> Result:
        result = waiting.popleft().result()
        start(1)
        return result

    try:
        start(ahead)
        while waiting:
            yield take()  # no name here: what is handed over is the consumer's alone
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
