"""Models that others have published: fetched, unpacked, imported, and only then there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from rtqc.core.cache import cache_folder
from rtqc.core.whole_file import whole_file
from rtqc.heart.manifest import Manifest
from rtqc.training.download import DownloadError, Progress, check_url, download
from rtqc.training.unpack import unpack

#: SHA-256 of what was fetched first from each address, in the cache folder: what comes later must be the same.
_PINS = "pins.json"
#: Lines of a licence that are shown.
_LICENCE_LINES = 12
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")


@dataclass(frozen=True)
class Published:
    """A model by name.

    Attributes:
        url: of its ZIP file.
        size: of it, in bytes; what differs is another file.
        sha256: of it; empty: nobody who wrote this could compute it, and the first one fetched is pinned.
        labels: that are heart.
        licence: of the weights, in a sentence, and where it stands.
        about: what it is.
    """

    url: str
    size: int | None
    sha256: str
    labels: tuple[str, ...]
    licence: str
    about: str


PUBLISHED: Mapping[str, Published] = {
    "totalsegmentator": Published(
        url="https://github.com/wasserth/TotalSegmentator/releases/download/v2.0.0-weights/Dataset293_TotalSegmentator_part3_cardiac_1559subj.zip",
        size=234_190_318,
        sha256="",
        labels=("heart",),
        licence="Apache-2.0: TotalSegmentator's open task 'total', weights v2.0.0 (https://github.com/wasserth/TotalSegmentator). Cite Wasserthal et al., "
        "Radiol Artif Intell 5:e230024 (2023), doi:10.1148/ryai.230024, and Isensee et al., Nat Methods 18:203 (2021).",
        about="TotalSegmentator v2, heart and vessels, 1.5 mm, learned from 1,559 CTs of one hospital group, all kinds of examinations",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Fetched:
    """An unpacked archive that is not imported yet.

    Attributes:
        folder: where it lies; deleted when it has been imported.
        name: that the model gets unless another is given.
        sha256: of the archive.
        licence: what is known of it.
        labels: that are heart; empty: found by name.
    """

    folder: Path
    name: str
    sha256: str
    licence: str
    labels: tuple[str, ...]


def licence_of(source: str) -> str:
    """The licence of a model that is published under a name; empty for an address, whose archive says it."""
    return PUBLISHED[source].licence if source in PUBLISHED else ""


def fetch(source: str, sha256: str = "", progress: Progress = lambda done, total: None) -> Fetched:
    """Fetch and unpack a model.

    Args:
        source: a name of :data:`PUBLISHED`, or the address of a ZIP file.
        sha256: that the file must have; empty: the known one, or the one of the first time.
        progress: told bytes so far, and of all.

    Raises:
        DownloadError: it cannot be had, is another file than the first time, or harmful; nothing is left but what can be gone on with.
        OSError: the cache folder cannot be written.
    """
    known = PUBLISHED.get(source)
    if known is None and "://" not in source:
        raise DownloadError(
            f"there is no published model '{source}': give {', '.join(PUBLISHED)}, or the address (https://) of a ZIP file"
        )
    url = known.url if known else source
    cache = cache_folder() / "downloads"
    expected = sha256 or (known.sha256 if known else "") or _pinned(cache, url)
    check_url(url, expected)
    name = source if known else PurePosixPath(unquote(urlsplit(url).path)).stem or "model"
    archive = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"
    found = _hash_if_there(archive)
    if not found or (expected and found != expected.lower()):
        archive.unlink(missing_ok=True)
        found = download(url, archive, sha256=expected, size=known.size if known else None, progress=progress)
    folder = cache / f"{archive.stem}-unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unpack(archive, folder)
    except DownloadError:
        archive.unlink(missing_ok=True)
        raise
    _pin(cache, url, found)
    licence = known.licence if known else _licence_in(folder)
    return Fetched(folder, _safe(name), found, licence, known.labels if known else ())


def install(fetched: Fetched, out: Path, make: Callable[[Path, Path], Manifest]) -> Manifest:
    """Import an unpacked model into a folder, whole or not at all.

    Args:
        fetched: of :func:`fetch`.
        out: the model's folder; must not be there.
        make: imports a source folder into a model folder.

    Raises:
        ModelError: it cannot be imported.
        OSError: it cannot be written.
    """
    part = out.with_name(f".{out.name}.part") / out.name
    shutil.rmtree(part.parent, ignore_errors=True)
    try:
        made = make(fetched.folder, part)
        out.parent.mkdir(parents=True, exist_ok=True)
        part.rename(out)
        return made
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
        shutil.rmtree(fetched.folder, ignore_errors=True)


def _safe(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".-")
    return kept[:60] or "model"


def _hash_if_there(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pins(cache: Path) -> dict[str, str]:
    try:
        told = json.loads((cache / _PINS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _pinned(cache: Path, url: str) -> str:
    return _pins(cache).get(url, "")


def _pin(cache: Path, url: str, sha256: str) -> None:
    with whole_file(cache / _PINS) as file:
        file.write((json.dumps({**_pins(cache), url: sha256}, indent=1) + "\n").encode("utf-8"))


def _licence_in(folder: Path) -> str:
    """What an archive says of its licence: the first lines of the file, else a key of its description."""
    for path in sorted(p for name in _LICENCE_FILES for p in folder.rglob(name) if p.is_file()):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([line.strip() for line in lines if line.strip()][:_LICENCE_LINES])[:2000]
    for path in [*folder.rglob("dataset.json"), *folder.rglob("metadata.json")]:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        value = next((told[k] for k in ("licence", "license", "copyright") if isinstance(told, dict) and told.get(k)), "")
        if value:
            return str(value)[:2000]
    return ""
