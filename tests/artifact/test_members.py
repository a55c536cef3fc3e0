"""Artifacts of ensembles, with a folder for each member."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oddlens.artifact import FILES, Artifact, read_artifact, write_artifact
from oddlens.errors import ArtifactError
from tests.artifact.made import listing, make, same


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
