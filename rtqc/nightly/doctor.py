"""Whether everything that a night needs is there, before the night."""

from __future__ import annotations

import locale
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Literal

from rtqc.core.version import rtqc_version
from rtqc.core.walk import walk
from rtqc.heart import Engine, ModelError, load_model
from rtqc.heart.runtime import runtime_clash
from rtqc.nightly.engine import WORKER_BYTES, Crew
from rtqc.nightly.places import PlaceError, Places, nearest_there, size_free
from rtqc.nightly.store import StoreError, open_store

State = Literal["ok", "warning", "fail"]
#: Packages that a night needs or can use.
_PACKAGES = (
    "pydicom",
    "numpy",
    "scipy",
    "distributed",
    "SQLAlchemy",
    "alembic",
    "onnxruntime-gpu",
    "onnxruntime",
    "pg8000",
    "pyarrow",
)
#: A night of reports fits into so much, in bytes: 500 flagged plans of 2 MB.
_FREE_BYTES = 2 << 30
#: Windows' old limit of a path, and how long those below the output are.
_OLD_PATH, _OUR_PATH = 260, 80
#: Files of an archive that are tried.
_TRIED = 200


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do where that is not as it should be."""

    name: str
    state: State
    found: str
    do: str = ""


def examine(archive: Path | None, out: Path | None, store: str | None, model: str) -> list[Check]:
    """Look at everything; nothing is left behind."""
    checks = [_python(), _packages(), _encodings(), _machine()]
    checks += [_model(model), _devices(model)]
    if archive is not None:
        checks.append(_archive(archive))
    if out is not None:
        checks += _output(out, archive)
    if store is not None:
        checks.append(_store(store))
    return checks


def _python() -> Check:
    return Check("rtqc", "ok", f"{rtqc_version()} on Python {platform.python_version()}, {platform.platform()}")


def _packages() -> Check:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return Check("packages", "ok", ", ".join(found))


def _encodings() -> Check:
    told = {
        "files": sys.getfilesystemencoding(),
        "text": locale.getpreferredencoding(False),
        "output": sys.stdout.encoding or "none",
    }
    odd = [name for name, encoding in told.items() if encoding.lower().replace("-", "") != "utf8"]
    found = ", ".join(f"{name} {encoding}" for name, encoding in told.items())
    if not odd:
        return Check("encodings", "ok", found)
    return Check(
        "encodings", "warning", found, "names of files and patients may be shown wrongly: set PYTHONUTF8=1 for the task"
    )


def _machine() -> Check:
    workers, memory = Crew().sized()
    found = f"{workers} workers of {memory / 2**30:.1f} GiB each"
    if memory < WORKER_BYTES:
        return Check("machine", "warning", found, "large plans may not fit into memory: 3 GiB a worker are enough")
    return Check("machine", "ok", found)


def _model(model: str) -> Check:
    try:
        manifest = load_model(model).manifest
    except ModelError as error:
        return Check("model", "fail", str(error), "give a model that is there with --model")
    return Check("model", "ok", f"{manifest.name} {manifest.version}, {manifest.sha256[:12]}, verified")


def _devices(model: str) -> Check:
    try:
        device = Engine(load_model(model), "auto").device
    except Exception as error:  # the runtime raises its own types
        return Check("device", "fail", f"the model cannot be loaded ({error})", "install onnxruntime again")
    clash = runtime_clash()
    if clash:
        found, _, do = clash.partition(": ")
        return Check("device", "warning", f"auto takes {device}; {found}", do)
    return Check("device", "ok", f"auto takes {device}")


def _archive(archive: Path) -> Check:
    if not archive.is_dir():
        return Check("archive", "fail", f"{archive} is not a folder, or is not mounted", "mount the share, or give its path")
    refused: list[str] = []
    tried = 0
    try:
        for file in islice(_files(archive, refused.append), _TRIED):
            tried += 1
            try:
                with file.open("rb") as opened:
                    opened.read(132)
            except OSError as error:
                refused.append(f"{file} ({error.strerror or error})")
    except OSError as error:
        refused.append(str(error))
    if refused:
        found = f"{len(refused)} of {tried} tried cannot be read, first {refused[0]}"
        return Check(
            "archive",
            "fail" if len(refused) >= tried else "warning",
            found,
            "give the account that runs the night the right to read",
        )
    if not tried:
        return Check("archive", "warning", f"{archive} is empty", "check that the share is mounted")
    return Check("archive", "ok", f"{archive} can be read ({tried} files tried)")


def _files(folder: Path, refused: Callable[[str], None]) -> Iterator[Path]:
    for where, _, names in walk(folder, lambda e: refused(f"{e.filename} ({e.strerror})")):
        yield from (where / name for name in names if (where / name).is_file())


def _output(out: Path, archive: Path | None) -> Iterator[Check]:
    try:
        Places(out).check(archive or Path(os.devnull))
    except PlaceError as error:
        yield Check("output", "fail", str(error), "give another --out")
        return
    there = nearest_there(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".rtqc-doctor-", dir=there) as folder:
            yield from _written(Path(folder), out)
    except OSError as error:
        yield Check(
            "output", "fail", f"{there} cannot be written ({error.strerror or error})", "give the account the right to write"
        )
        return
    free = size_free(out)
    state: State = "ok" if free >= _FREE_BYTES else "warning"
    yield Check(
        "free disk", state, f"{free / 2**30:.1f} GiB at {there}", "" if state == "ok" else "a night of reports may need 2 GiB"
    )


def _written(folder: Path, out: Path) -> Iterator[Check]:
    part = folder / "part"
    part.write_text("rtqc", encoding="utf-8")
    part.replace(folder / "whole")
    yield Check("output", "ok", f"{out} can be written")
    try:
        (folder / "link").symlink_to("whole")
    except OSError:
        yield Check("links", "warning", "no links are allowed there", "latest/ will be a copy of the last run, which is fine")
    try:
        long = folder.joinpath(*["x" * 60] * 5)
        long.mkdir(parents=True)
        (long / ("ü" * 20)).write_text("", encoding="utf-8")
    except OSError as error:
        do = f"enable long paths (LongPathsEnabled), or give an --out shorter than {_OLD_PATH - _OUR_PATH} characters"
        short = len(str(out)) < _OLD_PATH - _OUR_PATH
        yield Check(
            "long paths", "warning" if short else "fail", f"paths end at {_OLD_PATH} characters ({error.strerror or error})", do
        )
    else:
        yield Check("long paths", "ok", "work")


def _store(url: str) -> Check:
    is_new = "://" not in url and not Path(url).exists()
    try:
        if is_new:
            with tempfile.TemporaryDirectory(dir=nearest_there(Path(url).resolve().parent)) as folder:
                open_store(Path(folder) / "try.sqlite").close()
            return Check("store", "ok", f"{url} can be made")
        store = open_store(url, create=False)
        counts = store.counts()
        shown = store.shown
        store.close()
    except (StoreError, OSError) as error:
        return Check("store", "fail", str(error), "check the address, the server and the account")
    return Check("store", "ok", f"{shown} holds {sum(counts.values())} plans")
