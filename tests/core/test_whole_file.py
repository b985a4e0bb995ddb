"""What is written goes where it should, whatever lies there, and is for those to read whom the umask allows."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtqc.core.whole_file import no_link, own_folder, whole_file, whole_folder, whole_path

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows allows links to administrators only")


@pytest.fixture(params=[0o077, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of this process, for a moment."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_links
def test_permissions_are_what_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    with whole_file(tmp_path / "a" / "b" / "report.html") as file:
        file.write(b"x")
    with whole_path(tmp_path / "a" / "mask.nii.gz", ".nii.gz") as part:
        part.write_bytes(b"x")
    with whole_folder(tmp_path / "a" / "plan") as folder:
        (folder / "f").touch()
    for file in (tmp_path / "a" / "b" / "report.html", tmp_path / "a" / "mask.nii.gz"):
        assert mode(file) == 0o666 & ~umask
    for made in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "plan"):
        assert mode(made) == 0o777 & ~umask


@needs_links
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for name in ("report.html", "gone.html"):
        (tmp_path / name).symlink_to(victim if name == "report.html" else tmp_path / "nowhere")
        with whole_file(tmp_path / name) as file:
            file.write(b"ours")
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"ours"
    (tmp_path / "mask.nii").symlink_to(victim)
    with whole_path(tmp_path / "mask.nii", ".nii") as part:
        part.write_bytes(b"ours")
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "table").symlink_to(victim)
    with pytest.raises(OSError, match="link"):
        no_link(tmp_path / "table", os.O_WRONLY | os.O_APPEND)
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(OSError, match="link"):
        own_folder(tmp_path / "folder")


def test_names_on_the_way_cannot_be_guessed(tmp_path: Path) -> None:
    seen = set()
    for _ in range(20):
        with whole_file(tmp_path / "report.html"):
            (part,) = (f.name for f in tmp_path.iterdir() if f.name != "report.html")
            seen.add(part)
    assert len(seen) == 20
    assert all(len(name) > len("..report.html.part") + 15 for name in seen)


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("before")

    def fail(manager):  # type: ignore[no-untyped-def]
        with manager:
            raise RuntimeError

    for manager in (whole_file(tmp_path / "f"), whole_path(tmp_path / "f"), whole_folder(tmp_path / "g")):
        with pytest.raises(RuntimeError):
            fail(manager)
    assert [f.name for f in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "before"


def test_a_name_as_long_as_a_name_may_be_can_be_written(tmp_path: Path) -> None:
    name = "ü" * 125 + ".html"
    with whole_file(tmp_path / name) as file:
        file.write(b"x")
    assert (tmp_path / name).read_bytes() == b"x"
