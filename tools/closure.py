"""Every package that an installation of rtqc brings, from pyproject.toml and what the packages installed here say of themselves."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
#: Extras that ``make wheelhouse`` bundles; read from there, so that the two cannot differ.
_WHEELHOUSE = re.compile(r"pip wheel .*'\.\[([a-z,]+)\]'")
#: The same program built for GPUs: it stands for the core's package where only that is installed.
_STAND_INS = {"onnxruntime": "onnxruntime-gpu"}


@dataclass
class Closure:
    """Packages by name, and why they are there.

    Attributes:
        packages: what is installed of them.
        needs: names of those that each needs, of rtqc's own under ``rtqc``.
        missing: names that are needed and not installed here.
    """

    packages: dict[str, Distribution] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


def project() -> dict[str, object]:
    """The project's table of pyproject.toml."""
    told: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return told


def wheelhouse_extras() -> tuple[str, ...]:
    """Extras that ``make wheelhouse`` bundles."""
    found = _WHEELHOUSE.search((ROOT / "Makefile").read_text("utf-8"))
    assert found, "Makefile: no line of pip wheel with extras"
    return tuple(found[1].split(","))


def closure_of(extras: tuple[str, ...] = ()) -> Closure:
    """The core with some extras, and all that these need on this system."""
    told = project()
    optional = told["optional-dependencies"]
    assert isinstance(optional, dict)
    lines = [*told["dependencies"], *(line for extra in extras for line in optional[extra])]  # type: ignore[misc]
    found = Closure()
    found.needs["rtqc"] = set()
    todo = [("rtqc", Requirement(line)) for line in lines]
    done: set[tuple[str, frozenset[str]]] = set()
    while todo:
        who, wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if wanted.marker is not None and who == "rtqc" and not wanted.marker.evaluate({"extra": ""}):
            continue
        found.needs.setdefault(who, set()).add(name)
        mark = (name, frozenset(wanted.extras))
        if mark in done:
            continue
        done.add(mark)
        there = _installed(name)
        if there is None:
            found.missing.add(name)
            continue
        found.packages[name] = there
        found.needs.setdefault(name, set())
        for line in there.requires or ():
            inner = Requirement(line)
            marker = inner.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                todo.append((name, inner))
    return found


def _installed(name: str) -> Distribution | None:
    for candidate in (name, _STAND_INS.get(name, name)):
        try:
            return distribution(candidate)
        except PackageNotFoundError:
            continue
    return None
