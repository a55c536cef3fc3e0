"""Who may ask: the token, the interface, and the names under which a browser may come."""

from __future__ import annotations

import hmac
import ipaddress
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oddlens.errors import UsageError
from oddlens.serving.faults import RefusedError

PROTECTED = ("/v1/", "/metrics")
"""What begins so needs the token, where there is one: probes and the page's files tell nothing of
models or images."""

BROWSER_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every answer tells browsers."""


def refuse_open_house(host: str, token: str | None) -> None:
    """Without a token, listen to this machine only.

    Raises:
        UsageError: ``host`` can be reached from other machines, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise UsageError(
            f"--host {host} can be reached from other machines: set a token "
            "(ODDLENS_SERVE_TOKEN, or --token), or leave --host at 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether every address of this name or number is this machine's own.

    Raises:
        UsageError: there is no such host.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None)  # noqa: S104 - what uvicorn makes of ""
    except OSError as error:
        raise UsageError(f"--host {host}: there is no such address ({error})") from error
    addresses = [str(info[4][0]).partition("%")[0] for info in found]
    return all(ipaddress.ip_address(each).is_loopback for each in addresses)


class Doorkeeper:
    """ASGI middleware: checks the token and the Host header, and adds headers for browsers.

    Without a token the service trusts whoever is on this machine. A browser on it may show a page
    of a stranger, and that page may ask as well. It comes with a foreign Origin, or, where its host
    name was made to point here (DNS rebinding), with a foreign Host: both are refused. With a token
    it would need the token.

    Args:
        app: what comes behind.
        token: what callers must bear, or None.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in BROWSER_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            self._check(scope)
        except RefusedError as refused:
            answer = JSONResponse(refused.answer.model_dump(), refused.status, refused.headers)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._token is None:
            _check_host(headers.get("host", ""))
            _check_origin(headers.get("origin"), headers.get("host", ""))
        elif scope["path"].startswith(PROTECTED):
            _check_token(headers.get("authorization"), self._token)


def _check_host(given: str) -> None:
    name = given.rpartition(":")[0] if given.rpartition(":")[2].isdecimal() else given
    try:
        known = name.lower() == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        known = False
    if not known:
        raise RefusedError(
            "wrong_host",
            "without a token the service answers to localhost and 127.0.0.1 only: use one of "
            "these names, or set a token",
        )


def _check_origin(given: str | None, host: str) -> None:
    own = (f"http://{host}".lower(), f"https://{host}".lower())
    if given is not None and given.lower() not in own:
        message = "a page from elsewhere asks, and there is no token: set one, or ask from here"
        raise RefusedError("foreign_page", message)


def _check_token(given: str | None, token: str) -> None:
    challenge = {"WWW-Authenticate": "Bearer"}
    if given is None:
        raise RefusedError("no_token", "send the header Authorization: Bearer TOKEN", challenge)
    kind, _, value = given.partition(" ")
    # In constant time, so that nobody learns a token letter by letter.
    same = hmac.compare_digest(value.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not same:
        raise RefusedError("wrong_token", "the token is not the service's: check it", challenge)
