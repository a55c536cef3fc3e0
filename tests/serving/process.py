"""``oddlens serve`` as a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 120
"""Seconds after which something never comes, however slow the machine."""
PROGRAM = "import sys; from oddlens.cli import main; sys.argv[0] = 'oddlens'; main()"


@dataclass
class Service:
    """A running service.

    Attributes:
        process: of the program.
        port: where it listens.
        log: its lines so far.
    """

    process: subprocess.Popen[str]
    port: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def most_memory(self) -> int:
        """The largest resident memory so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
        return 1024 * int(line.split()[1])

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first line of the log that tells of this."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for entry in list(self.log):
                if entry["event"] == event:
                    return entry
            if self.process.poll() is not None:
                raise AssertionError(f"it ended before {event!r}: {self.log}")
            time.sleep(0.02)
        raise AssertionError(f"nothing tells of {event!r}: {self.log}")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": line})


@contextmanager
def service(*arguments: str | Path) -> Iterator[Service]:
    """Serve until the block ends."""
    call = [sys.executable, "-c", PROGRAM, "serve", *map(str, arguments)]
    settings = {"ODDLENS_SERVE_PORT": "0"} | dict(os.environ)
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=settings)
    started = Service(process)
    reader = threading.Thread(target=started._read, daemon=True)
    reader.start()
    try:
        started.port = started.wait_for("serving")["port"]
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def head_of(length: int, path: str = "/v1/score") -> bytes:
    """The head of a request of so many bytes, whose boundary is ``x``."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {length}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def body_of(*contents: bytes) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    return b"".join(part + content + b"\r\n" for content in contents) + b"--x--\r\n"


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer, up to its length; (0, {}) for an end without one."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return 0, {}
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body)
