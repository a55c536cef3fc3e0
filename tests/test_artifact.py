"""Artifacts: exact round trips, damage found, and no way to lose what was saved before."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oddlens.artifact import FILES, FORMAT_VERSION, Artifact, read_artifact, write_artifact
from oddlens.artifact.format import render, sha256
from oddlens.errors import ArtifactError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "$float"), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text().filter(lambda key: key != "$float"), VALUES, max_size=4)


def make(note: str = "first", **changes: Any) -> Artifact:
    content: dict[str, Any] = {
        "method": "ssm",
        "config": {"image_size": 128, "sizes": [2, 4, 8], "note": note},
        "weights": {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "step": torch.tensor(7)},
        "calibration": {"scores": [0.1, 0.1 + 0.2, 5e-324]},
        "card": f"# SSM\n\r\n{note}: é, 漢\n",
        "provenance": {"seed": 0},
    }
    return Artifact(**(content | changes))


def same(one: Artifact, other: Artifact) -> bool:
    return (
        (one.method, one.config, one.calibration, one.card, one.provenance)
        == (other.method, other.config, other.calibration, other.card, other.provenance)
        and one.weights.keys() == other.weights.keys()
        and all(identical(one.weights[name], other.weights[name]) for name in one.weights)
    )


def identical(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.equal(other)


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# --- round trips -----------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bottle.oddlens"
    write_artifact(make(), path)
    assert same(read_artifact(path), make())
    assert listing(path) == sorted(FILES)
    assert listing(path.parent) == ["bottle.oddlens"]


@settings(deadline=None, max_examples=50)  # Disks are slow when others use them.
@given(OBJECTS, OBJECTS, OBJECTS)
def test_json_values_come_back_exactly(
    config: dict[str, Any], calibration: dict[str, Any], provenance: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write_artifact(make(config=config, calibration=calibration, provenance=provenance), path)
        again = read_artifact(path)
        for one, other in (
            (again.config, config),
            (again.calibration, calibration),
            (again.provenance, provenance),
        ):
            assert repr(one) == repr(other)  # Tells -0.0 from 0.0, 1 from 1.0 and True.
        for name in ("config.json", "calibration.json"):
            json.loads((path / name).read_bytes(), parse_constant=pytest.fail)  # Strict JSON.


def test_values_that_are_not_finite_come_back(tmp_path: Path) -> None:
    provenance = {"loss": [math.nan, math.inf, {"low": -math.inf}]}
    write_artifact(make(provenance=provenance), tmp_path / "m")
    loss = read_artifact(tmp_path / "m").provenance["loss"]
    assert math.isnan(loss[0])
    assert loss[1:] == [math.inf, {"low": -math.inf}]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([True, False]),
        torch.tensor([1, -(2**62)]),
        torch.tensor([0.1, math.nan, math.inf], dtype=torch.bfloat16),
        torch.tensor([0.1, 1e-310], dtype=torch.float64),
        torch.tensor([1 + 2j]),
        torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn),
        torch.zeros(0, 3),
        torch.tensor(3.0),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(10.0)[::3],
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.nn.Parameter(torch.ones(2)),
        torch.ones(1).expand(4),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_tensors_come_back_bit_for_bit(tmp_path: Path, tensor: Tensor) -> None:
    write_artifact(make(weights={"a": tensor, "tied": tensor}), tmp_path / "m")
    for again in read_artifact(tmp_path / "m").weights.values():
        assert again.dtype == tensor.dtype
        assert again.shape == tensor.shape
        assert again.is_contiguous()
        assert not again.requires_grad
        flat, flat_again = tensor.detach().contiguous().reshape(-1), again.reshape(-1)
        assert flat.view(torch.uint8).tolist() == flat_again.view(torch.uint8).tolist()


def test_the_same_detector_gives_the_same_bytes(tmp_path: Path) -> None:
    backwards = dict(reversed(make().weights.items()))
    write_artifact(make(), tmp_path / "a")
    write_artifact(make(weights=backwards), tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert list(read_artifact(tmp_path / "b").weights) == ["conv.weight", "step"]


def test_no_weights_and_an_odd_card(tmp_path: Path) -> None:
    card = os.fsdecode(b"caf\xe9")
    write_artifact(make(weights={}, card=card), tmp_path / "m")
    again = read_artifact(tmp_path / "m")
    assert again.weights == {}
    assert again.card == card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"a": [1, {"b": Path("x")}]}}, r"config\.a\[1\]\.b is a PosixPath|WindowsPath"),
        ({"provenance": {"n": torch.tensor(1)}}, r"provenance\.n is a Tensor"),
        ({"calibration": {1: 2}}, "calibration has the key 1"),
        ({"config": {"$float": "nan"}}, r"config has the key '\$float'"),
        (
            {"weights": {"a": torch.zeros(1, dtype=torch.complex128)}},
            "cannot be saved: .*complex128",
        ),
        ({"card": "\ud800"}, "cannot be saved: .*surrogates"),
    ],
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_artifact(make(), tmp_path / "m")
    with pytest.raises(ArtifactError, match=message):
        write_artifact(make(**changes), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make())
    assert listing(tmp_path) == ["m"]


# --- reading what is not as it was -----------------------------------------------------------


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


# --- overwriting -----------------------------------------------------------------------------


def test_an_artifact_is_replaced_even_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_artifact(make("first"), path)
    write_artifact(make("second"), path)
    assert same(read_artifact(path), make("second"))
    (path / "README.md").unlink()
    write_artifact(make("third"), path)
    assert same(read_artifact(path), make("third"))
    assert listing(tmp_path) == ["m"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_artifact(make(), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make())
    assert listing(tmp_path) == ["m"]


def test_what_is_no_artifact_is_never_replaced(tmp_path: Path) -> None:
    file, folder, similar, mixed = (tmp_path / name for name in ("file", "d", "similar", "mixed"))
    file.write_text("precious")
    folder.mkdir()
    (folder / "photo.png").write_text("precious")
    similar.mkdir()
    (similar / "config.json").write_text('{"precious": 1}')
    write_artifact(make(), mixed)
    (mixed / "notes.txt").write_text("precious")
    for path in (file, folder, similar):
        with pytest.raises(ArtifactError, match="is there and is no oddlens artifact: choose"):
            write_artifact(make("second"), path)
    with pytest.raises(ArtifactError, match=r"mixed also holds notes\.txt, which would be lost"):
        write_artifact(make("second"), mixed)
    with pytest.raises(ArtifactError, match="is no oddlens artifact"):
        write_artifact(make(), Path(file.anchor))
    assert file.read_text() == "precious"
    assert listing(folder) == ["photo.png"]
    assert listing(similar) == ["config.json"]
    assert same(read_artifact(mixed), make())
    assert listing(tmp_path) == ["d", "file", "mixed", "similar"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    write_artifact(make("first"), tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_artifact(make("second"), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(read_artifact(tmp_path / "real"), make("second"))


def disk_full(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("there_before", [True, False])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, there_before: bool
) -> None:
    """The disk fills up at each of the flushes: the four files' and the folder's."""
    if there_before:
        write_artifact(make("first"), tmp_path / "m")
    left = listing(tmp_path)
    calls = iter(range(1, 100))
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: disk_full() if next(calls) == call else fsync(fd))
    state = "what was there before is intact" if there_before else "nothing was overwritten"
    with pytest.raises(ArtifactError, match=f"m: No space left on device; {state}$"):
        write_artifact(make("second"), tmp_path / "m")
    assert listing(tmp_path) == left
    if there_before:
        assert same(read_artifact(tmp_path / "m"), make("first"))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", [1, 2])
def test_a_failure_between_the_renames_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, call: int
) -> None:
    write_artifact(make("first"), tmp_path / "m")
    calls = iter(range(1, 100))
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if next(calls) == call:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises((ArtifactError, KeyboardInterrupt)):
        write_artifact(make("second"), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make("first"))
    assert listing(tmp_path) == ["m"]


def test_when_even_undoing_fails_the_message_tells_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(make("first"), tmp_path / "m")
    calls = iter(range(1, 100))
    rename = os.rename

    def fail_after_first(source: Path, target: Path) -> None:
        if next(calls) > 1:
            disk_full()
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_after_first)
    with pytest.raises(ArtifactError, match=r"is intact in .*m\.old-while-saving$"):
        write_artifact(make("second"), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m.old-while-saving"), make("first"))


def test_at_every_step_a_complete_artifact_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at the disk before every change to it, as a kill at that moment would leave it."""
    path = tmp_path / "m"
    write_artifact(make("first"), path)
    seen: list[str] = []

    def look(*_: object) -> None:
        places = [one for one in tmp_path.iterdir() if not one.name.startswith(".")]
        notes = []
        for place in places:
            try:
                notes.append(read_artifact(place).config["note"])
            except ArtifactError:
                continue
        assert notes, f"nothing to go on with among {places}"
        seen.append("+".join(sorted(notes)))

    for name in ("rename", "unlink", "rmdir", "mkdir", "fsync", "open"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, watched(original, look))
    write_artifact(make("second"), path)
    look()
    assert "first" in seen
    assert "first+second" in seen  # Between the second rename and the clean-up.
    assert seen[-1] == "second"


def watched(original: Any, look: Any) -> Any:
    busy: list[bool] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not busy:
            busy.append(True)
            try:
                look()
            finally:
                busy.clear()
        return original(*args, **kwargs)

    return call


def test_a_kill_between_the_renames_is_explained_and_mended(tmp_path: Path) -> None:
    path, kept = tmp_path / "m", tmp_path / "m.old-while-saving"
    write_artifact(make("first"), path)
    path.rename(kept)
    with pytest.raises(
        ArtifactError, match=r"interrupted; .* in .*m\.old-while-saving: rename it to m"
    ):
        read_artifact(path)
    assert same(read_artifact(kept), make("first"))
    write_artifact(make("second"), path)
    assert same(read_artifact(path), make("second"))
    assert listing(tmp_path) == ["m"]


def test_a_kill_while_the_old_one_is_removed_is_mended(tmp_path: Path) -> None:
    path, kept = tmp_path / "m", tmp_path / "m.old-while-saving"
    write_artifact(make("second"), path)
    kept.mkdir()
    (kept / "README.md").write_text("half removed")
    write_artifact(make("third"), path)
    assert same(read_artifact(path), make("third"))
    assert listing(tmp_path) == ["m"]
    kept.mkdir()
    (kept / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="old-while-saving is in the way of saving: move it"):
        write_artifact(make("fourth"), path)
    assert listing(kept) == ["thesis.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        ArtifactError, match=r"cannot write the artifact .*; nothing was overwritten"
    ):
        write_artifact(make(), tmp_path / "file" / "m")


# --- members ---------------------------------------------------------------------------------


def combined(note: str = "first") -> Artifact:
    return make(note, method="ensemble", weights={}, members={"ssm": make(note), "ssm-2": make()})


def test_members_come_back_in_order_and_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "all"
    write_artifact(combined(), path)
    again = read_artifact(path)
    assert list(again.members) == ["ssm", "ssm-2"]
    assert same(again, combined())
    assert all(same(each, make()) for each in again.members.values())
    assert same(read_artifact(path / "members" / "ssm-2"), make())
    assert listing(path / "members" / "ssm") == sorted(FILES)


def test_an_artifact_with_members_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "all"
    for artifact in (combined(), make("second"), combined("third")):
        write_artifact(artifact, path)
        assert same(read_artifact(path), artifact)
        assert read_artifact(path).members.keys() == artifact.members.keys()
        assert listing(tmp_path) == ["all"]


def test_every_byte_of_a_member_counts(tmp_path: Path) -> None:
    path = tmp_path / "all"
    write_artifact(combined(), path)
    for name in FILES:
        file = path / "members" / "ssm" / name
        content = file.read_bytes()
        file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(ArtifactError, match=rf"members.ssm.{name} is not what was saved"):
            read_artifact(path)
        file.unlink()
        with pytest.raises(ArtifactError, match=rf"is incomplete: .*{name} is missing"):
            read_artifact(path)
        file.write_bytes(content)
    assert same(read_artifact(path), combined())


def test_a_member_of_another_ensemble_is_found(tmp_path: Path) -> None:
    write_artifact(combined(), tmp_path / "one")
    write_artifact(combined("other"), tmp_path / "other")
    member = tmp_path / "one" / "members" / "ssm"
    shutil.rmtree(member)
    shutil.copytree(tmp_path / "other" / "members" / "ssm", member)
    with pytest.raises(ArtifactError, match=r"members.ssm.config\.json is not what was saved"):
        read_artifact(tmp_path / "one")


@pytest.mark.parametrize("place", ["notes.txt", "members/notes.txt", "members/ssm/notes.txt"])
def test_what_lies_among_members_is_not_lost(tmp_path: Path, place: str) -> None:
    path = tmp_path / "all"
    write_artifact(combined(), path)
    (path / place).write_text("mine")
    with pytest.raises(ArtifactError, match=f"also holds {place}, which would be lost"):
        write_artifact(make("second"), path)
    assert same(read_artifact(path), combined())


@pytest.mark.parametrize("name", ["", "../ssm", "a/b", "SSM"])
def test_names_that_are_no_folder_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="a member is called"):
        write_artifact(make(members={name: make()}), tmp_path / "all")
    assert not (tmp_path / "all").exists()
