"""Images from anywhere: sources, decoding, streaming, caching, splits, layouts, checks."""

from oddlens.images.cache import ImageCache
from oddlens.images.check import check_folder
from oddlens.images.check_report import CheckReport, CheckSummary, Problem
from oddlens.images.decode import decode
from oddlens.images.known import DigestWatch, KnownImages, digest, digests_of
from oddlens.images.layout import DatasetLayout, TestImage, read_layout, read_mask
from oddlens.images.prepare import prepare
from oddlens.images.small import SizeWatch
from oddlens.images.sources import (
    ArraySource,
    DatasetSource,
    ImagesLike,
    ImageSource,
    PathSource,
    open_source,
)
from oddlens.images.split import holdout_split
from oddlens.images.stream import (
    ImageBatch,
    PixelBatch,
    Skipped,
    ViewBatch,
    stream,
    stream_pixels,
    stream_views,
)

__all__ = [
    "ArraySource",
    "CheckReport",
    "CheckSummary",
    "DatasetLayout",
    "DatasetSource",
    "DigestWatch",
    "ImageBatch",
    "ImageCache",
    "ImageSource",
    "ImagesLike",
    "KnownImages",
    "PathSource",
    "PixelBatch",
    "Problem",
    "SizeWatch",
    "Skipped",
    "TestImage",
    "ViewBatch",
    "check_folder",
    "decode",
    "digest",
    "digests_of",
    "holdout_split",
    "open_source",
    "prepare",
    "read_layout",
    "read_mask",
    "stream",
    "stream_pixels",
    "stream_views",
]
