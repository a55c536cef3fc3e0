"""The whole program over real connections: slow and greedy callers, load, reload, ends."""

from __future__ import annotations

import hashlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest

from oddlens.serving.run import _listening
from tests.serving.process import PATIENCE, Service, answer_on, body_of, head_of, service
from tests.serving.toy import grey, write_toy

CLIENTS = 8
NOT_NEEDED = (
    *("torch", "lightning", "kornia", "einops", "safetensors", "pooch"),
    *("sklearn", "skimage", "matplotlib"),
)
"""Libraries of oddlens that a service of exported models does without."""


@pytest.fixture(scope="module")
def impatient(toy: Path) -> Iterator[Service]:
    with service(toy, "--receive-seconds", "3") as running:
        yield running


def scored(running: Service, value: int) -> None:
    url = f"{running.url}/v1/score"
    answer = httpx.post(url, files={"images": grey(value)}, timeout=PATIENCE)
    assert answer.json()["results"][0]["score"] == pytest.approx(value / 255)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/sc", b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX-Slow: "]
)
def test_who_does_not_finish_a_head_is_hung_up_on(impatient: Service, sent: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(sent)
        for _ in range(3):  # a letter now and then does not help
            with suppress(OSError):
                connection.sendall(b"a" if sent else b"")
            time.sleep(0.1)
        scored(impatient, 20)
        assert connection.recv(1000) == b""


def test_who_sends_a_body_too_slowly_is_told(impatient: Service) -> None:
    body = body_of(grey(1))
    with impatient.connect() as connection:
        connection.sendall(head_of(len(body)) + body[:50])
        scored(impatient, 21)
        status, answer = answer_on(connection)
        assert (status, answer["error"]["code"]) == (408, "too_slow_sending")


def test_who_keeps_a_connection_may_ask_again(impatient: Service) -> None:
    body = body_of(grey(51))
    with impatient.connect() as connection:
        for _ in range(3):
            connection.sendall(head_of(len(body)) + body)
            status, answer = answer_on(connection)
            assert (status, answer["results"][0]["score"]) == (200, pytest.approx(0.2))


def test_a_hundred_megabytes_are_refused_without_being_held(impatient: Service) -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1_000_000)

    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": "100000000",
    }
    before = impatient.most_memory()
    answer = httpx.post(
        f"{impatient.url}/v1/score", content=zeros(), headers=headers, timeout=PATIENCE
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_bytes")
    assert impatient.most_memory() - before < 20_000_000
    scored(impatient, 22)


def test_bodies_that_are_being_read_are_bounded_together(toy: Path) -> None:
    limits = ("--max-waiting-bytes", "70000000", "--receive-seconds", "600")
    with service(toy, *limits) as running, running.connect() as one, running.connect() as other:
        for each in (one, other):
            each.sendall(head_of(60_000_000))
        # Whichever came second.
        ((told,), _, _) = select.select([one, other], [], [], PATIENCE)
        status, answer = answer_on(told)
        assert (status, answer["error"]["code"]) == (429, "busy")
        scored(running, 23)


class Load:
    """Clients that send and check until the service is gone, or they are told to stop."""

    def __init__(self, running: Service, allowed: tuple[float, ...] = (0.0,)) -> None:
        self.answered = 0
        self.wrong: list[str] = []
        self.added: set[float] = set()
        self._url = f"{running.url}/v1/score"
        self._allowed = allowed
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        with httpx.Client(timeout=PATIENCE) as client:
            while not self._end.is_set():
                value = int(random.integers(0, 256))
                content = grey(value)
                try:
                    answer = client.post(self._url, files={"images": content})
                except httpx.TransportError:
                    return  # refused or cut off, and the caller knows
                self._check(answer, value, content)

    def _check(self, answer: httpx.Response, value: int, content: bytes) -> None:
        if answer.status_code != 200:
            self.wrong.append(answer.text)
            return
        (result,) = answer.json()["results"]
        added = round(result["score"] - value / 255, 9)
        self.added.add(added)
        right = result["sha256"] == hashlib.sha256(content).hexdigest()
        if not right or added not in self._allowed:
            self.wrong.append(answer.text)
        self.answered += 1

    def wait_for(self, more: int) -> None:
        """Until so many more are answered."""
        until = self.answered + more
        while self.answered < until and any(each.is_alive() for each in self._threads):
            time.sleep(0.005)


def test_a_reload_under_load_drops_nothing(tmp_path: Path) -> None:
    path = write_toy(tmp_path / "m.onnx")
    with service(path) as running:
        load = Load(running, (0.0, 2.0))
        load.wait_for(30)
        write_toy(path, added=2.0)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reloaded")
        load.wait_for(60)
        load.stop()
        assert load.wrong == []
        assert load.added == {0.0, 2.0}
        # Begun before the end, ended after it.
        body = body_of(grey(51))
        with running.connect() as connection:
            connection.sendall(head_of(len(body)) + body[:40])
            scored_before = running.log[-1]
            running.process.send_signal(signal.SIGTERM)
            _until_refused(running)
            connection.sendall(body[40:])
            status, answer = answer_on(connection)
        assert (status, answer["results"][0]["score"]) == (200, pytest.approx(2.2))
        assert running.process.wait(PATIENCE) == 0
        assert running.log[-1]["event"] == "stopped"
        assert scored_before["event"] == "request"


def _until_refused(running: Service) -> None:
    for _ in range(1000):
        try:
            running.connect().close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("it still takes connections")


def test_killed_under_load_it_leaves_no_wrong_answer_and_starts_again(toy: Path) -> None:
    with service(toy) as running:
        load = Load(running)
        load.wait_for(50)
        running.end(signal.SIGKILL)
        load.stop()
        assert load.answered >= 50
        assert load.wrong == []
        port = running.port
    with service(toy, "--port", str(port)) as again:
        assert again.port == port
        scored(again, 33)
        assert again.end() == 0


def test_exported_models_are_served_without_torch(toy: Path) -> None:
    code = (
        "import sys\n"
        f"for name in {NOT_NEEDED!r}: sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from starlette.testclient import TestClient\n"
        "from oddlens.serving.app import create_app\n"
        f"with TestClient(create_app([Path({str(toy)!r})]), base_url='http://localhost') as c:\n"
        f"    found = c.post('/v1/score?maps=png', files={{'images': {grey(51)!r}}})\n"
        "assert found.json()['results'][0]['map']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_answers_do_not_wait_for_the_receipt_of_their_heads() -> None:
    with (
        _listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()[:2]),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
