"""Which images has a detector seen? Told by their pixels, whatever their names are."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oddlens.errors import ArtifactError, ImageError
from oddlens.images.cache import refuse_bad
from oddlens.images.lookahead import default_workers, map_ahead
from oddlens.images.pixels import Pixels
from oddlens.images.sources import ImageSource
from oddlens.images.stream import OnBad, Skipped

_Digests = list[Annotated[str, Field(pattern="^[0-9a-f]{16}$")]]


class _KnownJson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    trained: _Digests
    tuned: _Digests


@dataclass(frozen=True)
class KnownImages:
    """The images that a detector was made from, as ``digest`` names them.

    Those that only calibrated it are not among them: nothing was chosen on them.

    Attributes:
        trained: of those that training saw.
        tuned: of those that thresholds and standardisation were chosen on.
    """

    trained: frozenset[str]
    tuned: frozenset[str]

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return {"trained": sorted(self.trained), "tuned": sorted(self.tuned)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> KnownImages:
        """The inverse of ``to_json``.

        Raises:
            ArtifactError: ``data`` is not what ``to_json`` writes.
        """
        try:
            read = _KnownJson.model_validate(data)
        except ValidationError as error:
            raise ArtifactError(f"the saved list of known images is damaged: {error}") from error
        return cls(frozenset(read.trained), frozenset(read.tuned))


def digest(pixels: Pixels) -> str:
    """Name an image by its pixels and shape: 16 hexadecimal digits of BLAKE2b.

    Of the pixels as decoded, before they are resized, so that detectors of different image sizes
    agree on it. 64 bits: among a million images two that differ share a name with a probability of
    3e-8.
    """
    shape = repr(pixels.shape).encode()
    return hashlib.blake2b(shape + pixels.tobytes(), digest_size=8).hexdigest()


class DigestWatch:
    """A source that notes the digest of each image when it is first read.

    Args:
        source: the images.

    Attributes:
        digests: by the image's place in the source.
    """

    def __init__(self, source: ImageSource) -> None:
        self.digests: dict[int, str] = {}
        self._lock = threading.Lock()
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def name(self, index: int) -> str:
        """Give what the source calls the image."""
        return self._source.name(index)

    def read(self, index: int) -> Pixels:
        """Read an image and note its digest; called from several threads."""
        pixels = self._source.read(index)
        if index not in self.digests:
            found = digest(pixels)
            with self._lock:
                self.digests[index] = found
        return pixels

    def of(self, indices: Sequence[int]) -> frozenset[str]:
        """The digests of images that have been read."""
        return frozenset(self.digests[index] for index in indices)


def digests_of(
    source: ImageSource,
    *,
    on_bad: OnBad,
    skipped: list[Skipped],
    progress: Callable[[int, int], None],
) -> dict[int, str]:
    """Read every image once, and give the digest of each that can be used by its place.

    Args:
        source: the images.
        on_bad: whether images that cannot be used are left out or refused, all in one error.
        skipped: receives what was left out.
        progress: called with (done, total).

    Raises:
        DataError: with ``"raise"``, the bad images; or no image is left.
    """

    def read(index: int) -> str | ImageError:
        try:
            return digest(source.read(index))
        except ImageError as error:
            return error

    total, workers = len(source), default_workers()
    found: dict[int, str] = {}
    bad: list[Skipped] = []
    with closing(map_ahead(read, range(total), ahead=2 * workers, workers=workers)) as results:
        for index, result in enumerate(results):
            if isinstance(result, ImageError):
                bad.append(Skipped(result.name, result.reason))
            else:
                found[index] = result
            progress(index + 1, total)
    refuse_bad(bad, total, on_bad)
    skipped.extend(bad)
    return found
