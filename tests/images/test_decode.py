from __future__ import annotations

import errno
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from oddlens.errors import ImageError
from oddlens.images import decode

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
SMOOTH = np.stack(np.broadcast_arrays(np.arange(0, 240, 4), 90, np.arange(60)[:, None] * 4), axis=2)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def reason(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        decode(path)
    assert caught.value.name == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.bmp", {}), ("a.tif", {}), ("A.TIFF", {}), ("a.webp", {"lossless": True})],
)
def test_lossless_formats_give_the_very_pixels(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / name, **options)
    pixels = decode(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, COLOUR)
    pixels[0, 0] = 0  # the caller's own


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_formats_come_close(tmp_path: Path, name: str) -> None:
    smooth = SMOOTH.astype(np.uint8)
    path = saved(Image.fromarray(smooth), tmp_path / name, quality=95)
    assert np.abs(decode(path).astype(int) - smooth).mean() < 4


def test_the_contents_count_not_the_name(tmp_path: Path) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / "photo.jpg", format="PNG")
    np.testing.assert_array_equal(decode(str(path)), COLOUR)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_grey_is_repeated(tmp_path: Path, name: str) -> None:
    path = saved(Image.fromarray(GREY), tmp_path / name)
    np.testing.assert_array_equal(decode(path), np.stack([GREY] * 3, axis=2))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_one_bit_is_black_and_white(tmp_path: Path, name: str) -> None:
    path = saved(Image.fromarray(GREY > 127), tmp_path / name)
    np.testing.assert_array_equal(decode(path)[:, :, 0], np.where(GREY > 127, 255, 0))


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOUR).quantize(16)
    path = saved(picture, tmp_path / "a.png")
    np.testing.assert_array_equal(decode(path), np.asarray(picture.convert("RGB")))


def test_a_transparent_palette_entry_becomes_black(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8)).convert("P")
    picture.putpalette([200, 100, 50, 10, 20, 30])
    path = saved(picture, tmp_path / "a.png", transparency=0)
    assert decode(path).tolist() == [[[0, 0, 0], [10, 20, 30]], [[10, 20, 30], [0, 0, 0]]]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_an_opaque_alpha_changes_nothing(tmp_path: Path, name: str) -> None:
    rgba = np.dstack([COLOUR, np.full(GREY.shape, 255, np.uint8)])
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(Image.fromarray(rgba), tmp_path / name, **options)
    np.testing.assert_array_equal(decode(path), COLOUR)


def test_what_cannot_be_seen_is_black_and_the_rest_shines_through(tmp_path: Path) -> None:
    alpha = GREY.copy()
    alpha[0] = 0
    path = saved(Image.fromarray(np.dstack([COLOUR, alpha])), tmp_path / "a.png")
    wanted = np.rint(COLOUR * (alpha[:, :, None] / 255))
    np.testing.assert_array_equal(decode(path), wanted)
    path = saved(Image.fromarray(np.dstack([GREY, alpha])), tmp_path / "la.png")
    np.testing.assert_array_equal(decode(path)[:, :, 2], np.rint(GREY * (alpha / 255)))


def test_a_transparent_colour_of_an_rgb_png_is_black(tmp_path: Path) -> None:
    path = saved(
        Image.fromarray(COLOUR), tmp_path / "a.png", transparency=tuple(COLOUR[2, 3].tolist())
    )
    wanted = COLOUR.copy()
    wanted[2, 3] = 0
    np.testing.assert_array_equal(decode(path), wanted)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_is_scaled_linearly(tmp_path: Path, name: str) -> None:
    deep = np.array([[0, 128, 129], [257, 32896, 65535]], dtype=np.uint16)
    path = saved(Image.fromarray(deep), tmp_path / name)
    assert decode(path)[:, :, 1].tolist() == [[0, 0, 1], [1, 128, 255]]


def tiff(
    values: bytes, *, width: int, height: int, bits: int, big: bool = False, kind: int = 1
) -> bytes:
    """A bare grey TIFF, written from the specification: one strip, no compression."""
    order = ">" if big else "<"
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 12 * 10 + 4),
        (277, 1),
        (278, height),
        (279, len(values)),
        (339, kind),
    ]
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IH", 8, len(entries))
    table = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in entries)
    return head + table + struct.pack(order + "I", 0) + values


def test_big_endian_16_bit_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(struct.pack(">2H", 257, 65535), width=2, height=1, bits=16, big=True))
    assert decode(path)[0, :, 0].tolist() == [1, 255]


def test_declared_12_bit_data_is_scaled_by_4095(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])  # 0, 4095, 2048, 0
    path.write_bytes(tiff(packed, width=4, height=1, bits=12))
    assert decode(path)[0, :, 0].tolist() == [0, 255, 128, 0]


def test_a_dark_16_bit_image_stays_dark(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.full((4, 4), 4095, np.uint16)), tmp_path / "a.png")
    assert decode(path).max() == 16


def test_32_bit_integers_are_read_as_16_bit_where_they_fit(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.array([[0, 65535]], np.int32)), tmp_path / "a.tif")
    assert decode(path)[0, :, 0].tolist() == [0, 255]
    path = saved(Image.fromarray(np.array([[-1, 65535]], np.int32)), tmp_path / "b.tif")
    assert "from -1 to 65535" in reason(path)


def test_float_tiff_lies_in_0_to_1(tmp_path: Path) -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    assert decode(saved(Image.fromarray(values), tmp_path / "a.tif"))[0, :, 0].tolist() == [
        0,
        128,
        255,
    ]
    assert "from 0 to 255" in reason(saved(Image.fromarray(values * 255), tmp_path / "b.tif"))
    values[0, 0] = np.nan
    assert "NaN" in reason(saved(Image.fromarray(values), tmp_path / "c.tif"))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    for name in ("a.jpg", "a.tif"):
        red, green, blue = decode(saved(picture, tmp_path / name))[4, 4]
        assert red > 250
        assert max(green, blue) < 5


def test_lab_becomes_rgb(tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    picture = ImageCms.applyTransform(Image.new("RGB", (4, 4), (200, 60, 30)), to_lab)
    assert picture is not None
    pixels = decode(saved(picture, tmp_path / "a.tif"))
    assert np.abs(pixels.astype(int) - (200, 60, 30)).max() <= 3


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16] = (255, 0, 0)
    stored[8:, :16] = (0, 255, 0)
    stored[:8, 16:] = (0, 0, 255)
    # the definition: 1 as stored, 2 mirrored, 3 turned by 180, 4 flipped, 5 transposed, ...
    upright: Callable[[np.ndarray], np.ndarray] = [
        lambda p: p,
        lambda p: p[:, ::-1],
        lambda p: p[::-1, ::-1],
        lambda p: p[::-1],
        lambda p: p.transpose(1, 0, 2),
        lambda p: np.rot90(p, -1),
        lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        lambda p: np.rot90(p, 1),
    ][orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    if name.endswith("jpg"):
        options = {"quality": 100, "subsampling": 0}
    path = saved(Image.fromarray(stored), tmp_path / name, exif=exif, **options)
    wanted = upright(stored).astype(int)
    pixels = decode(path)
    assert pixels.shape == wanted.shape
    assert np.abs(pixels - wanted).max() <= 2


def test_16_bit_images_are_turned_upright_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257
    path = saved(Image.fromarray(deep), tmp_path / "a.png", exif=exif)
    assert decode(path)[:, :, 0].tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("block", [b"MM\0*\xff\xff\xff\xff nonsense", b"no header at all"])
def test_a_broken_exif_block_does_not_cost_the_picture(tmp_path: Path, block: bytes) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / "a.png", exif=b"Exif\0\0" + block)
    np.testing.assert_array_equal(decode(path), COLOUR)


def test_of_several_frames_the_first_is_taken(tmp_path: Path) -> None:
    first, second = Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)
    path = saved(first, tmp_path / "a.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode(path), COLOUR)


def test_a_missing_file_a_folder_and_an_unreadable_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason(tmp_path / "none.png") == "no such file"
    assert reason(tmp_path) == "is a folder, not an image"

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    assert reason(tmp_path / "a.png") == "cannot be read (Permission denied)"


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello\nworld\n", 'holds text ("hello world"), not an image'),
        ("größe".encode() * 200, "holds text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "run git lfs pull"),
        (bytes(range(256)), "is not a PNG, JPEG"),
        (b"\x89PNG\r\n\x1a\n", "is not a PNG, JPEG"),
        (tiff(b"\0" * 8, width=1, height=1, bits=64, kind=3), "is a TIFF of a kind"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, contents: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(contents)
    assert words in reason(path)


def test_decoders_that_were_not_asked_for_do_not_run(tmp_path: Path) -> None:
    assert "is not a PNG" in reason(saved(Image.fromarray(GREY), tmp_path / "a.png", format="GIF"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {}),
        ("a.jpg", {"progressive": True}),
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_truncated_files_are_refused(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / name, **options)
    contents = path.read_bytes()
    decode(path)
    path.write_bytes(contents[: len(contents) // 2])
    assert "cut short" in reason(path) or "cannot be read" in reason(path)


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces many pixels and holds few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9460, 60_000])  # just above the limit; far above
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bomb(side, side))
    assert "more than 89,478,485 pixels" in reason(path)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_where_warnings_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bomb(9460, 9460))
    assert "more than 89,478,485 pixels" in reason(path)


def test_the_pixel_limit_is_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", COLOUR.shape[0] * COLOUR.shape[1])
    decode(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    decode(path)


FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("JPEG", {}),
    ("BMP", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
]


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes_give_pixels_or_an_image_error(tmp_path: Path, data: st.DataObject) -> None:
    kind, options = data.draw(st.sampled_from(FORMATS))
    file = io.BytesIO()
    ImageOps.invert(Image.fromarray(COLOUR)).save(file, kind, **options)
    contents = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.bin"
    path.write_bytes(contents)
    try:
        pixels = decode(path)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
