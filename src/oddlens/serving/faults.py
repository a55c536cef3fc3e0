"""What is refused, and with which status."""

from __future__ import annotations

from oddlens.serving.schemas import ErrorAnswer, Fault

STATUS = {
    "bad_request": 400,
    "no_token": 401,
    "wrong_token": 401,
    "foreign_page": 403,
    "not_found": 404,
    "no_such_model": 404,
    "method_not_allowed": 405,
    "too_slow_sending": 408,
    "too_many_bytes": 413,
    "too_many_files": 413,
    "too_many_maps": 413,
    "too_many_pixels": 413,
    "not_multipart": 415,
    "not_an_image": 415,
    "wrong_host": 421,
    "wrong_query": 422,
    "wrong_field": 422,
    "no_images": 422,
    "empty": 422,
    "damaged": 422,
    "unreadable": 422,
    "busy": 429,
    "failed": 500,
    "took_too_long": 503,
    "stopping": 503,
}
"""The status of each code; of an image's code, where it is the only image of the request."""


class RefusedError(Exception):
    """A request is not served.

    Args:
        code: one of ``STATUS``.
        message: one sentence with the way out.
        headers: to send along.
    """

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """Of the answer."""
        return STATUS[self.code]

    @property
    def answer(self) -> ErrorAnswer:
        """What is sent."""
        return ErrorAnswer(error=Fault(code=self.code, message=self.message))
