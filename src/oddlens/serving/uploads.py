"""Reading a multipart body: bounded in bytes, files and time, and kept in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from oddlens.serving.faults import RefusedError
from oddlens.serving.settings import Settings

FIELD = "images"
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Upload:
    """One file of a request.

    Attributes:
        file_name: harmless: the last part of the name that was sent, and never used as a path.
        content: its bytes.
    """

    file_name: str
    content: bytes


class _InMemory(MultiPartParser):
    """Images of a production line do not go to a temporary folder; the body's limit bounds them."""

    spool_max_size = 2**62
    is_whole = False

    def on_end(self) -> None:
        """The last boundary was met. The parser itself does not mind when it is missing."""
        self.is_whole = True


def announced_bytes(request: Request, settings: Settings) -> int:
    """How many bytes the body will have at most.

    Raises:
        RefusedError: it is of another kind than multipart, or announces too many bytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RefusedError(
            "not_multipart",
            f"send images as multipart/form-data in the field {FIELD!r} "
            f"(curl -F {FIELD}=@image.png), not as {kind[:60] or 'a body without a type'}",
        )
    length = request.headers.get("content-length", "")
    # A body in chunks may be of any length, whatever else the head says.
    if not length.isdecimal() or "transfer-encoding" in request.headers:
        return settings.max_body_bytes
    if int(length) > settings.max_body_bytes:
        raise _too_many_bytes(settings)
    return int(length)


async def read_uploads(request: Request, settings: Settings) -> list[Upload]:
    """The files in the field ``images``, in order.

    Raises:
        RefusedError: the body is too long, comes too slowly, is not multipart, holds too many
            files, none, or something else.
    """
    parser = _InMemory(
        request.headers,
        _bounded(request, settings),
        max_files=settings.max_files,
        max_fields=8,
        max_part_size=4096,
    )
    try:
        async with asyncio.timeout(settings.receive_seconds):
            form = await parser.parse()
    except TimeoutError:
        raise RefusedError(
            "too_slow_sending",
            f"the request was not complete after {settings.receive_seconds:g} s: send fewer or "
            "smaller images at a time",
        ) from None
    except ClientDisconnect:
        raise RefusedError("bad_request", "the connection ended before the request did") from None
    except MultiPartException as error:
        raise _malformed(error.message, settings) from error
    try:
        if not parser.is_whole:
            raise _malformed("it ends before its last boundary", settings)
        return await _files(form)
    finally:
        await form.close()


async def _bounded(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > settings.max_body_bytes:
            raise _too_many_bytes(settings)
        yield chunk


async def _files(form: FormData) -> list[Upload]:
    uploads = []
    for name, value in form.multi_items():
        if name != FIELD:
            raise RefusedError(
                "wrong_field", f"there is no field {name[:60]!r}: send images as {FIELD!r}"
            )
        if not isinstance(value, UploadFile):
            raise RefusedError(
                "wrong_field",
                f"the field {FIELD!r} holds text: send files (curl -F {FIELD}=@image.png)",
            )
        uploads.append(Upload(harmless_name(value.filename or ""), await value.read()))
    if not uploads:
        raise RefusedError("no_images", f"the request holds no image: send some as {FIELD!r}")
    return uploads


def harmless_name(name: str) -> str:
    """The last part of a name, without what could do harm where it is shown or logged."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(character for character in last if character.isprintable())
    return clean[:_LONGEST_NAME] if clean not in ("", ".", "..") else "image"


def _malformed(message: str, settings: Settings) -> RefusedError:
    if message.startswith("Too many files"):
        return RefusedError(
            "too_many_files",
            f"the request holds more than {settings.max_files} images: send several requests",
        )
    if message.startswith(("Too many fields", "Part exceeded")):
        return RefusedError("wrong_field", f"send nothing but files, as {FIELD!r}")
    return RefusedError(
        "bad_request", f"the body is no multipart/form-data ({message.rstrip('.')})"
    )


def _too_many_bytes(settings: Settings) -> RefusedError:
    return RefusedError(
        "too_many_bytes",
        f"the request has more than {settings.max_body_bytes:,} bytes: send fewer or smaller "
        "images at a time",
    )
