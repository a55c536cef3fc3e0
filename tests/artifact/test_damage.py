"""Artifacts that are damaged, forged or none: whatever is wrong is named."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from oddlens.artifact import FILES, FORMAT_VERSION, read_artifact, write_artifact
from oddlens.artifact.format import render, sha256
from oddlens.errors import ArtifactError
from tests.artifact.made import make, same


@pytest.mark.parametrize("name", FILES)
def test_every_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m"
    write_artifact(make(), path)
    content = (path / name).read_bytes()
    changed = [
        content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(len(content))
    ]
    changed += [content + b"\n", content + b" ", content[:-1], b" " + content, b"", b"\xff" * 9]
    changed += [content.replace(b"\n", b"\r\n"), content.replace(b" ", b"  ")]
    for variant in changed:
        if variant == content:
            continue
        (path / name).write_bytes(variant)
        with pytest.raises(ArtifactError):
            read_artifact(path)
    (path / name).write_bytes(content)
    assert same(read_artifact(path), make())


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(tmp_path: Path, name: str) -> None:
    write_artifact(make(), tmp_path / "m")
    file = tmp_path / "m" / name
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(ArtifactError, match=rf"m/{name} is not what was saved .*copy the artifact"):
        read_artifact(tmp_path / "m")


@pytest.mark.parametrize("name", FILES)
def test_files_of_two_artifacts_do_not_mix(tmp_path: Path, name: str) -> None:
    write_artifact(make("first"), tmp_path / "a")
    write_artifact(
        make("second", weights={"a": torch.ones(1)}, calibration={"scores": [1.0]}), tmp_path / "b"
    )
    (tmp_path / "b" / name).replace(tmp_path / "a" / name)
    with pytest.raises(ArtifactError, match="is not what was saved"):
        read_artifact(tmp_path / "a")


@pytest.mark.parametrize("name", [name for name in FILES if name != "config.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_artifact(make(), tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(ArtifactError, match=rf"m is incomplete: {name} is missing"):
        read_artifact(tmp_path / "m")
    (tmp_path / "m" / name).mkdir()
    with pytest.raises(ArtifactError, match=rf"m is incomplete: {name} is missing"):
        read_artifact(tmp_path / "m")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    write_artifact(make(), tmp_path / "m")
    (tmp_path / "m" / "README.md").unlink()
    os.mkfifo(tmp_path / "m" / "README.md")
    with pytest.raises(ArtifactError, match=r"README\.md is missing"):
        read_artifact(tmp_path / "m")


def test_a_newer_format_says_to_upgrade(tmp_path: Path) -> None:
    newer = {"format": "oddlens artifact", "format_version": FORMAT_VERSION + 6, "parts": ["x"]}
    (tmp_path / "config.json").write_text(json.dumps(newer))
    with pytest.raises(ArtifactError, match=r"format 7 .* up to 1: upgrade oddlens$"):
        read_artifact(tmp_path)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', '{"format": "other"}', '{"format": {}}', '{"format": null, "format_version": 9}'],
)
def test_other_folders_are_no_artifacts(tmp_path: Path, text: str) -> None:
    with pytest.raises(ArtifactError, match="is no oddlens artifact: give a folder"):
        read_artifact(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match="is no oddlens artifact: give a folder"):
        read_artifact(tmp_path)
    with pytest.raises(ArtifactError, match="is no oddlens artifact"):
        read_artifact(tmp_path / "config.json")
    for missing in (tmp_path / "nothing", tmp_path / ("x" * 5000)):
        with pytest.raises(ArtifactError, match=r"there is no artifact .*: check the path"):
            read_artifact(missing)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "{",
        '{"format": NaN}',
        '{"$float": "nan"}',
        '{"format": "oddlens artifact"}',
        '{"format": "oddlens artifact", "format_version": "2"}',
        '{"format": "oddlens artifact", "format_version": 0}',
        json.dumps(
            {
                "digest": "\ud800",
                "format": "oddlens artifact",
                "format_version": 1,
                "method": "ssm",
                "config": {},
                "provenance": {},
                "sha256": {},
            }
        ),
    ],
)
def test_a_ruined_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"config\.json is not what was saved"):
        read_artifact(tmp_path)


def test_paths_in_the_config_are_never_followed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_artifact(make(), path)
    (tmp_path / "outside").write_bytes((path / "README.md").read_bytes())
    data = json.loads((path / "config.json").read_text())
    data["sha256"]["../outside"] = data["sha256"].pop("README.md")
    forge(path, data)
    with pytest.raises(ArtifactError, match=r"README\.md is not what was saved"):
        read_artifact(path)


def forge(path: Path, data: dict[str, Any]) -> None:
    """Write a config whose digest is right."""
    data["digest"] = "0" * 64
    blank = render(data)
    content = blank.replace(b"0" * 64, sha256(blank).encode(), 1)
    (path / "config.json").write_bytes(content)


def test_forging_as_above_works_without_the_trick(tmp_path: Path) -> None:
    write_artifact(make(), tmp_path / "m")
    data = json.loads((tmp_path / "m" / "config.json").read_text())
    forge(tmp_path / "m", data | {"method": "other"})
    assert read_artifact(tmp_path / "m").method == "other"


def test_weights_that_are_none_with_a_forged_digest(tmp_path: Path) -> None:
    write_artifact(make(), tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"cos\nsystem\n")
    data = json.loads((tmp_path / "m" / "config.json").read_text())
    data["sha256"]["model.safetensors"] = sha256(b"cos\nsystem\n")
    forge(tmp_path / "m", data)
    with pytest.raises(ArtifactError, match=r"m cannot be read: .*; fit the detector again"):
        read_artifact(tmp_path / "m")


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(make(), tmp_path / "m")

    def refuse(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ArtifactError, match=r"cannot read .*config\.json: Permission denied"):
        read_artifact(tmp_path / "m")


def test_a_method_that_looks_like_the_blank_digest(tmp_path: Path) -> None:
    write_artifact(make(method="0" * 64), tmp_path / "m")
    assert read_artifact(tmp_path / "m").method == "0" * 64
