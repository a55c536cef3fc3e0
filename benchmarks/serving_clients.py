"""Callers of the service that check every answer: prepared requests, sent by threads."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

BOUNDARY = "oddlens-benchmark"
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Sent:
    """One image, and what must come back.

    Attributes:
        content: of the file.
        sha256: of the content.
        score: as scored in process, or None for a bad one.
        code: of the error of a bad one.
    """

    content: bytes
    sha256: str
    score: float | None = None
    code: str | None = None


@dataclass
class Outcome:
    """What became of many requests.

    Attributes:
        seconds: of each answered request.
        wall: seconds from the first to the last.
        images: that were scored right.
        refused: bad images that were refused as they should.
        busy: answers of 429; each is tried again.
        lost: requests without an answer.
        wrong: answers that are not those of the image that was sent.
    """

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    images: int = 0
    refused: int = 0
    busy: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def body_of(images: Sequence[Sent]) -> bytes:
    """A multipart body with one or many images."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; '
        f'filename="{at}"\r\n\r\n'.encode()
        + image.content
        + b"\r\n"
        for at, image in enumerate(images)
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def drive(port: int, requests: Sequence[Sequence[Sent]], clients: int) -> Outcome:
    """Send every request once, by so many clients at a time, each on one connection."""
    outcome, lock, coming = Outcome(), threading.Lock(), iter(requests)

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                images = next(coming, None)
            if images is None:
                connection.close()
                return
            _ask(connection, images, outcome, lock)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.wall = time.perf_counter() - started
    return outcome


def _ask(
    connection: http.client.HTTPConnection,
    images: Sequence[Sent],
    outcome: Outcome,
    lock: threading.Lock,
) -> None:
    body = body_of(images)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    while True:
        started = time.perf_counter()
        try:
            connection.request("POST", "/v1/score", body, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            with lock:
                outcome.lost.append(repr(error))
            return
        seconds = time.perf_counter() - started
        if answer.status != 429:
            break
        with lock:
            outcome.busy += 1
        time.sleep(float(answer.headers["Retry-After"]))
    with lock:
        outcome.seconds.append(seconds)
        _check(answer.status, found, images, outcome)


def _check(status: int, found: dict, images: Sequence[Sent], outcome: Outcome) -> None:
    if status != 200:
        alone = images[0] if len(images) == 1 else None
        if alone is not None and alone.code == found["error"]["code"]:
            outcome.refused += 1
        else:
            outcome.wrong.append(f"{status}: {found}")
        return
    if len(found["results"]) != len(images):
        outcome.wrong.append(f"{len(found['results'])} results for {len(images)} images")
        return
    for image, result in zip(images, found["results"], strict=True):
        if result["sha256"] != image.sha256:
            outcome.wrong.append(f"the answer for {result['sha256']} came for {image.sha256}")
        elif image.score is None:
            if (result["error"] or {}).get("code") == image.code:
                outcome.refused += 1
            else:
                outcome.wrong.append(f"a bad image was answered: {result}")
        elif result["score"] is None or (
            abs(result["score"] - image.score) > TOLERANCE * max(1.0, abs(image.score))
        ):
            outcome.wrong.append(f"{result['score']} in the place of {image.score}")
        else:
            outcome.images += 1
