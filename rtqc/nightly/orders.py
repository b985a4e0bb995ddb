"""What is to be done for one plan, with what, and what came of it: plain values that travel between processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from rtqc.core.assessment import Assessment, Scope
from rtqc.core.version import rtqc_version
from rtqc.dicom import Header, Index, Parts, fingerprint
from rtqc.heart import DEFAULT_MODEL, Device, load_model
from rtqc.qc import Population, Protocol


@dataclass(frozen=True)
class Settings:
    """How every plan of a run is checked.

    Attributes:
        protocol: None: the one that each plan asks for.
        model: shipped model's name or model folder, and its hash.
        seconds: a plan that takes longer is given up.
        all_reports: whether plans that pass get a report too.
        populations: the clinic's own hearts by protocol. They grow every night and are no part of a result's key: a plan is not judged anew
            because others were.
        scope: what a pass must cover.
    """

    protocol: Protocol | None = None
    model: str = DEFAULT_MODEL
    model_hash: str = ""
    device: Device = "auto"
    threads: int = 0
    seconds: float = 600.0
    all_reports: bool = False
    populations: Mapping[str, Population] = field(default_factory=dict)
    scope: Scope = "plan"

    @classmethod
    def of(
        cls,
        protocol: Protocol | None,
        model: str,
        device: Device,
        threads: int,
        seconds: float,
        all_reports: bool,
        scope: Scope = "plan",
    ) -> Settings:
        """With the model's hash.

        Raises:
            ModelError: the model cannot be used.
        """
        return cls(protocol, model, load_model(model).manifest.sha256, device, threads, seconds, all_reports, scope=scope)

    @cached_property
    def fingerprint(self) -> str:
        """Of what results follow from, apart from the files."""
        protocol = self.protocol.model_dump_json() if self.protocol is not None else "by plan"
        return hashlib.sha256("\n".join((protocol, self.scope, self.model_hash, rtqc_version())).encode()).hexdigest()


@dataclass(frozen=True)
class Order:
    """One plan to be checked.

    Attributes:
        parts: its files, and of the patient's other plans what its course needs.
        index: with nothing but what was wrong with files beside them.
        known: keys of the results that there are for just these objects.
        digests: of those files whose content is known, by name.
    """

    parts: Parts
    index: Index
    known: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """Of the UIDs of all objects; of the files' names where none of them could be read."""
        if self.parts.headers:
            return fingerprint(self.parts)
        return hashlib.sha256("\n".join(["unreadable", *self.unreadable]).encode()).hexdigest()[:24]

    @property
    def subject(self) -> str:
        """What it is about, over all its versions: the plan, else the structure set."""
        header = self.parts.plan or self.parts.structure_set
        return header.uid if header is not None and header.uid else self.identity

    @property
    def unreadable(self) -> list[str]:
        """What was wrong with files beside it: an export that was mended is another case."""
        return sorted(f"{f.rule} {' '.join(f.evidence.files)}" for f in self.index.findings)

    @property
    def folder(self) -> str:
        """The folder that holds all of its files, from the archive."""
        names = [h.name for h in self.parts.headers] or [n for f in self.index.findings for n in f.evidence.files]
        folders = [PurePosixPath(n).parent.parts for n in names]
        shared: list[str] = []
        for level in zip(*folders, strict=False):
            if len(set(level)) > 1:
                break
            shared.append(level[0])
        return "/".join(shared) or "."

    @property
    def files(self) -> int:
        """How many files it has."""
        return len(self.parts.headers)

    @property
    def headers(self) -> list[Header]:
        """All files that its result follows from: its own, and those of the patient's other plans, whose doses may be added."""
        return [*self.parts.files, *self.parts.sibling_headers]

    def key(self, settings: Settings, digests: Mapping[str, str]) -> str:
        """Of everything that a result follows from.

        Args:
            settings: how it is checked.
            digests: content of all its files, by name; one that could not be read is empty.
        """
        # A true copy changes nothing; one of other content is a finding, and another result.
        content = sorted(
            {(h.uid, digests.get(h.name, "")) for h in self.headers} | {(h.uid, h.sop_class) for h in self.index.not_judged}
        )
        told = json.dumps([self.identity, content, self.unreadable, settings.fingerprint])
        return hashlib.sha256(told.encode()).hexdigest()[:32]


@dataclass
class Outcome:
    """What came of an order.

    Attributes:
        key: of the result.
        assessment: None where the store has this result already.
        digests: of the files whose content was not known.
        report, thumbnail: HTML, and SVG; None where there is none.
        seconds: by step.
        why: why there is no verdict; empty where there is one.
        plan_date, planner, reviewer, planning_system, scanner: of the files.
    """

    key: str
    assessment: Assessment | None
    digests: dict[str, str] = field(default_factory=dict)
    report: bytes | None = None
    thumbnail: bytes | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    why: str = ""
    plan_date: str = ""
    planner: str = ""
    reviewer: str = ""
    planning_system: str = ""
    scanner: str = ""
