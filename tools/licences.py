"""``python -m tools.licences``: write docs/licences.md, the licence of every package that an installation or a wheelhouse brings."""

from __future__ import annotations

import re
from importlib.metadata import Distribution
from pathlib import PurePosixPath

from tools.closure import ROOT, closure_of, wheelhouse_extras

PAGE = ROOT / "docs" / "licences.md"
#: Copyleft of a whole program: nothing under one of these ships.
STRONG = re.compile(r"\b(A|L)?GPL|GNU (AFFERO|LESSER|LIBRARY|GENERAL)|\bEUPL|\bSSPL|\bCC[- ]BY[- ](SA|NC)", re.IGNORECASE)
#: What a package's metadata does not say, read from the licence file of its source.
_READ = {"tblib": "BSD-2-Clause"}
#: Copyleft of single files (MPL-2.0): used unchanged, from their own files, which is all that the licence asks for.
FILE_COPYLEFT = {"certifi": "a list of certificates (through requests)", "tqdm": "progress bars; MPL-2.0 and MIT"}
_GCC = (
    "libgfortran is GCC's runtime: GPL-3.0 with the GCC Runtime Library Exception, which allows programs of any licence. libquadmath is LGPL-2.1, a shared library "
    "of its own that may be replaced. OpenBLAS is BSD-3-Clause"
)
#: Shared libraries inside wheels that are under another licence than the package.
BUNDLED = {
    "shapely": ("libgeos", "GEOS, LGPL-2.1: a shared library of its own beside the package, which may be replaced by another build of it, as the licence asks"),
    "numpy": ("libgfortran", _GCC),
    "scipy": ("libgfortran", _GCC),
}  # fmt: skip
_SHORT = {
    "BSD License": "BSD", "MIT License": "MIT", "Apache Software License": "Apache-2.0", "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "ISC License (ISCL)": "ISC", "Historical Permission Notice and Disclaimer (HPND)": "HPND",
}  # fmt: skip


def licence_of(package: Distribution, name: str) -> str:
    """What a package says of its licence: the SPDX expression, else the classifier, else the first line of its field; empty: nothing."""
    if name in _READ:
        return _READ[name]
    told = package.metadata
    expression = told.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or () if c.startswith("License :: OSI Approved :: ")
    ]
    if classifiers:
        return ", ".join(_SHORT.get(c, c) for c in classifiers)
    first = str(told.get("License") or "").strip().splitlines()
    return first[0].strip() if first and first[0].strip().upper() != "UNKNOWN" else ""


def bundled_libraries(package: Distribution) -> list[str]:
    """Shared libraries that a wheel brings along in a folder of their own (auditwheel's and delocate's)."""
    names = {
        PurePosixPath(str(file)).name
        for file in package.files or ()
        if re.search(r"(\.libs|\.dylibs)/", str(file)) and re.search(r"\.(so|dylib|dll)", str(file))
    }
    return sorted({re.sub(r"[-.](?:[0-9a-f]{8,}|so|dylib|dll|\d).*", "", name) for name in names})


def page() -> str:
    """The text of docs/licences.md."""
    core, house = closure_of(), closure_of(wheelhouse_extras())
    lines = [
        "# Licences of what rtqc brings along",
        "",
        "Made by `python -m tools.licences`. rtqc itself is under the Apache License 2.0 ([NOTICE](../NOTICE)). `pip install rtqc` brings the core, `make wheelhouse` also",
        f"the extras {', '.join(wheelhouse_extras())}. No package under GPL, LGPL or AGPL is in either (`tests/packaging/test_licences.py`).",
        "",
        "| package | licence | in |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {licence_of(package, name)} | {'core' if name in core.packages else 'wheelhouse'} |"
        for name, package in sorted(house.packages.items())
    ]
    lines += ["", "Files under MPL-2.0, used unchanged:", ""]
    lines += [f"- {name}: {why}." for name, why in sorted(FILE_COPYLEFT.items()) if name in house.packages]
    lines += [
        "",
        "## Libraries inside wheels",
        "",
        "Wheels for Linux bring shared libraries under licences of their own; their texts are in each package's folder.",
        "",
    ]
    for name in sorted(house.packages):
        libraries = bundled_libraries(house.packages[name])
        if libraries:
            said = f" {BUNDLED[name][1]}." if name in BUNDLED else ""
            lines.append(f"- {name}: {', '.join(libraries)}.{said}")
    lines += [
        "",
        "The extra `gpu` adds onnxruntime-gpu (MIT), which loads NVIDIA's CUDA and cuDNN (proprietary, installed by whoever wants them, not by rtqc).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
