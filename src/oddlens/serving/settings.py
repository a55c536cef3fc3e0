"""What of the service can be set, with the limits that keep it standing."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MIB = 2**20
MOST_PIXELS = 89_478_485
"""Pillow's own limit, which holds for `oddlens score` as well."""


class Settings(BaseModel):
    """Limits and habits of the service.

    Each limit is our choice, wide enough for the images that cameras of a line give. What is sent
    takes twice ``max_waiting_bytes`` of memory at most; what is decoded 20 bytes a pixel of one
    image of ``max_pixels``, and of one of 16 million pixels for each core; maps 10 bytes each of
    ``max_waiting_map_pixels``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    token: str | None = Field(
        None, min_length=16, description="what callers must bear; None lets everybody in"
    )
    max_files: int = Field(64, ge=1, description="images in one request")
    max_body_bytes: int = Field(64 * MIB, ge=1, description="bytes of one request")
    max_image_bytes: int = Field(32 * MIB, ge=1, description="bytes of one image file")
    max_pixels: int = Field(
        MOST_PIXELS,
        ge=1,
        le=MOST_PIXELS,
        description="pixels of one image (at most Pillow's limit)",
    )
    max_waiting_bytes: int = Field(
        512 * MIB, ge=1, description="bytes of all requests that are being read or wait"
    )
    queue_images: int = Field(
        256, ge=1, description="images of all requests that wait or are scored"
    )
    max_map_pixels: int = Field(8 * MIB, ge=1, description="pixels of the maps of one answer")
    max_waiting_map_pixels: int = Field(
        32 * MIB, ge=1, description="pixels of all maps that are made or wait to be taken"
    )
    max_connections: int = Field(512, ge=1, description="open connections")
    receive_seconds: float = Field(
        30.0, gt=0, description="time to send one request, and to take each portion of an answer"
    )
    answer_seconds: float = Field(60.0, gt=0, description="time to score one request")
    batch_size: int = Field(16, ge=1, description="most images in one pass of a model")
    batch_wait_ms: float = Field(
        2.0, ge=0, description="time that a batch that is not full waits for more"
    )
    reload_seconds: float = Field(
        0.0, ge=0, description="how often model files are looked at for change; 0 for never"
    )

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, token: str | None) -> str | None:
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError(
                "a header cannot carry this token: take one line of printable ASCII characters "
                "without spaces"
            )
        return token

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.max_files > self.queue_images:
            raise ValueError(
                f"max_files ({self.max_files}) is more than queue_images ({self.queue_images}): "
                "a request of so many images could never be taken"
            )
        if self.max_body_bytes > self.max_waiting_bytes:
            raise ValueError(
                f"max_body_bytes ({self.max_body_bytes}) is more than max_waiting_bytes "
                f"({self.max_waiting_bytes}): a request of that size could never be taken"
            )
        if self.max_map_pixels > self.max_waiting_map_pixels:
            raise ValueError(
                f"max_map_pixels ({self.max_map_pixels}) is more than max_waiting_map_pixels "
                f"({self.max_waiting_map_pixels}): an answer of that size could never be made"
            )
        return self


PAGE = Path(__file__).parent / "page"
"""The files of the web page."""
