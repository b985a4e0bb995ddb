"""An archive of strangers -> a folder: nothing is written outside it, nothing grows beyond what a model is, no half of it stays."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from rtqc.training.download import MOST_BYTES, DownloadError

#: A bundle is some dozens of files; its weights hardly shrink.
_MOST_FILES, _MOST_RATIO = 10_000, 200
#: Small files of zeros may shrink by more without harm.
_ALWAYS_FINE_BYTES = 16 << 20
_BLOCK = 1 << 20


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ZIP file.

    Args:
        archive: the file.
        folder: must not be there; made whole or not at all.

    Raises:
        DownloadError: no ZIP file, damaged, or one that would write outside the folder, hold links, or grow beyond :data:`MOST_BYTES`.
        OSError: it cannot be written.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            _check(archive, entries, part.parent)
            part.mkdir(parents=True)
            room = MOST_BYTES
            for entry in entries:
                if not entry.is_dir():
                    room -= _written(opened, entry, part.joinpath(*PurePosixPath(entry.filename).parts), room)
        part.rename(folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(
            f"{archive.name} is no ZIP file that can be read ({error}): models are fetched as ZIP files"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check(archive: Path, entries: list[zipfile.ZipInfo], disk: Path) -> None:
    """Everything that the list of contents tells."""
    if len(entries) > _MOST_FILES:
        raise DownloadError(f"{archive.name} holds {len(entries)} files, which no model does: it was not unpacked")
    total = 0
    for entry in entries:
        name = entry.filename
        parts = PurePosixPath(name).parts
        if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or "\x00" in name or not parts:
            raise DownloadError(f"{archive.name} wants to write outside its folder ({name[:80]!r}): it was not unpacked")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DownloadError(f"{archive.name} holds a link or a device ({name[:80]!r}): it was not unpacked")
        if entry.flag_bits & 1:
            raise DownloadError(f"{archive.name} is encrypted: it was not unpacked")
        if entry.file_size > max(_MOST_RATIO * max(entry.compress_size, 1), _ALWAYS_FINE_BYTES):
            raise DownloadError(
                f"{archive.name} would grow {entry.file_size // max(entry.compress_size, 1)} times ({name[:80]!r}): it was not unpacked"
            )
        total += entry.file_size
    if total > MOST_BYTES:
        raise DownloadError(f"{archive.name} would grow to {total / 2**30:.0f} GiB, which no model does: it was not unpacked")
    disk.mkdir(parents=True, exist_ok=True)
    if total > shutil.disk_usage(disk).free:
        raise DownloadError(
            f"{archive.name} needs {total / 2**30:.1f} GiB in {disk}, which has less: make room, or set RTQC_CACHE to another folder"
        )


def _written(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int) -> int:
    """Bytes written; what an archive says of its sizes is not believed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with opened.open(entry) as source, target.open("xb") as file:
        while block := source.read(_BLOCK):
            done += len(block)
            if done > min(room, entry.file_size):
                raise DownloadError(f"{entry.filename[:80]!r} is larger than its archive says: it was not unpacked")
            file.write(block)
    return done
