"""An archive -> orders: which plans there are, and which of them nothing is known of yet."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rtqc.core.finding import Finding
from rtqc.core.walk import shown_name
from rtqc.dicom import Index, Parts, findings_beside, index_folder, patient_key, plan_cases, split_archive
from rtqc.nightly.orders import Order
from rtqc.nightly.store import Store


@dataclass(frozen=True)
class Selection:
    """Which plans of an archive are wanted.

    Attributes:
        since: no plan whose plan (structure set) file has changed before.
        only: patterns of Patient IDs; empty: all.
    """

    since: datetime | None = None
    only: tuple[str, ...] = ()

    def wants(self, parts: Parts) -> bool:
        """Whether a case is wanted."""
        if self.only and not any(fnmatch.fnmatchcase(parts.patient_id, pattern) for pattern in self.only):
            return False
        header = parts.plan or parts.structure_set
        if self.since is None or header is None:
            return True
        try:
            return header.path.stat().st_mtime >= self.since.timestamp()
        except OSError:
            return True


@dataclass
class Archive:
    """What lies in an archive.

    Attributes:
        root: the folder.
        orders: one a plan (or structure set, or folder of unreadable files), in the archive's order.
        files: number of files looked at; ``opened``: of which were new or had changed.
        not_plans: CT series and doses that no plan and no structure set goes with, by what they are.
        unreadable: what could not be read, of files and folders.
        left_out: number of plans that were not wanted.
    """

    root: Path
    orders: list[Order] = field(default_factory=list)
    files: int = 0
    opened: int = 0
    not_plans: dict[str, int] = field(default_factory=dict)
    unreadable: list[Finding] = field(default_factory=list)
    left_out: int = 0


def scan(
    root: Path, store: Store, selection: Selection = Selection(), progress: Callable[[int], None] | None = None
) -> Archive:
    """Read what is new in an archive, and say what is to be done.

    Args:
        root: the archive; never written to.
        store: knows what was read and done before.
        selection: which plans.
        progress: called with the number of files so far.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    archive = Archive(root)

    def count(files: int) -> None:
        archive.files = files
        if progress is not None:
            progress(files)

    memory = store.memory(shown_name(str(root)))
    index = index_folder(root, count, memory)
    memory.finish()
    archive.opened = memory.opened
    archive.unreadable = list(index.findings)
    known = store.known_keys()
    for part in split_archive(index):
        for parts in plan_cases(part):
            if not _is_plan(parts, part, archive):
                continue
            if not selection.wants(parts):
                archive.left_out += 1
                continue
            not_judged = [h for h in part.not_judged if patient_key(h) == parts.patient]
            beside = Index(root, findings=findings_beside(part, parts.patient), others=part.others, not_judged=not_judged)
            order = Order(parts, beside)
            archive.orders.append(Order(parts, beside, known.get(order.identity, ())))
    return archive


def _is_plan(parts: Parts, index: Index, archive: Archive) -> bool:
    """Whether there is something to check: a CT alone is nobody's plan."""
    if parts.plan is not None or parts.structure_set is not None:
        return True
    if findings_beside(index, parts.patient):
        return True
    kind = "CT series" if parts.series else "RTDOSE"
    archive.not_plans[kind] = archive.not_plans.get(kind, 0) + 1
    return False


def with_digests(orders: list[Order], store: Store, root: Path, ahead: int = 50) -> Iterator[Order]:
    """Orders with what is known of their files' content, looked up a few at a time."""
    memory = store.memory(shown_name(str(root)))
    for start in range(0, len(orders), ahead):
        part = orders[start : start + ahead]
        known = memory.digests(h.name for order in part for h in order.headers)
        for order in part:
            own = {h.name: known[h.name] for h in order.headers if h.name in known}
            yield Order(order.parts, order.index, order.known, own)
