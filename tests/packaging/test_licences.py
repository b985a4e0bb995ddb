"""What an installation brings along: its licences, its versions with hashes, its bill of materials."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from tools.closure import ROOT, closure_of, wheelhouse_extras
from tools.constraints import FILE
from tools.licences import BUNDLED, FILE_COPYLEFT, PAGE, STRONG, bundled_libraries, licence_of


def test_no_copyleft_package_is_in_the_core_or_the_wheelhouse() -> None:
    closure = closure_of(wheelhouse_extras())
    assert not closure.missing, "install the extras of make wheelhouse"
    assert {"pingouin", "psycopg", "psycopg-binary"}.isdisjoint(closure.packages)
    for name, package in closure.packages.items():
        licence = licence_of(package, name)
        assert licence, f"{name} does not say its licence: read it and add it to tools/licences.py"
        assert not STRONG.search(licence), f"{name} is under {licence}"
        said = " ".join(c for c in package.metadata.get_all("Classifier") or () if c.startswith("License"))
        assert not STRONG.search(said), f"{name}: {said}"
        assert "MPL" not in licence or name in FILE_COPYLEFT, name


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-only",
        "LGPL-3.0",
        "GNU Lesser General Public License v3 (LGPLv3)",
        "AGPL-3.0-or-later",
        "GNU General Public License v3",
    ],
)
def test_copyleft_is_recognised(licence: str) -> None:
    assert STRONG.search(licence)


def test_every_package_and_its_licence_stand_on_the_page() -> None:
    told = PAGE.read_text("utf-8")
    for name, package in closure_of(wheelhouse_extras()).packages.items():
        assert re.search(rf"^\| {re.escape(name)} \| \S.* \| (core|wheelhouse) \|$", told, re.MULTILINE), (
            f"run python -m tools.licences: {name}"
        )
        assert f"| {name} | {licence_of(package, name)} |" in told, f"run python -m tools.licences: {name}"


def test_libraries_under_other_licences_inside_wheels_are_said() -> None:
    told = PAGE.read_text("utf-8")
    for name, package in closure_of(wheelhouse_extras()).packages.items():
        for library in bundled_libraries(package):
            # What is known to be under a copyleft licence: GCC's runtime, GEOS, FriBidi, and no other.
            if re.match(r"lib(gfortran|quadmath|geos|gomp|stdc|fribidi|raqm|x264|av(codec|format)|gsl|readline)", library):
                assert name in BUNDLED, f"{name} brings {library}"
                assert re.search(rf"^- {name}: .*{library}", told, re.MULTILINE)


def test_versions_with_hashes_stand_there_for_all_that_is_installed() -> None:
    lines = [line for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    parsed = [re.fullmatch(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert all(parsed)
    names = {p[1] for p in parsed if p}
    assert set(closure_of(wheelhouse_extras()).packages) <= names, "run python -m tools.constraints"
    assert "rtqc" not in names


def test_pip_takes_the_file_with_this_hash_and_no_other(tmp_path: Path) -> None:
    line = next(x for x in FILE.read_text("utf-8").splitlines() if x.startswith("scramp=="))
    digest = line[-64:]
    for told, status in ((line, 0), (line.replace(digest, digest[::-1]), 1)):
        (tmp_path / "one.txt").write_text(told + "\n")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--no-cache-dir",
            "-d",
            tmp_path / "d",
            "-r",
            tmp_path / "one.txt",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
    assert "DO NOT MATCH" in done.stderr


def test_the_bill_of_materials_is_valid_and_whole(tmp_path: Path) -> None:
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource

    out = tmp_path / "sbom.json"
    done = subprocess.run(
        [sys.executable, "-m", "tools.sbom", "--out", out], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text("utf-8"))
    schemas = files("cyclonedx.schema") / "_res"
    parts = {p.name: json.loads(p.read_text("utf-8")) for p in schemas.iterdir() if p.name.endswith(".schema.json")}
    (name,) = (n for n in parts if n.startswith("bom-1.6."))
    assert parts[name]["$id"].startswith("http://cyclonedx.org/schema/")
    registry = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{file}", Resource.from_contents(content)) for file, content in parts.items()
    )  # fmt: skip
    errors = list(Draft7Validator(parts[name], registry=registry).iter_errors(document))
    assert errors == []
    assert document["specVersion"] == "1.6"
    closure = closure_of(wheelhouse_extras())
    assert len(document["components"]) == len(closure.packages)
    purls = {c["purl"] for c in document["components"]}
    assert f"pkg:pypi/pydicom@{closure.packages['pydicom'].version}" in purls
    assert all(c["licenses"] for c in document["components"])
    known = {c["bom-ref"] for c in document["components"]} | {"rtqc"}
    (own,) = (d for d in document["dependencies"] if d["ref"] == "rtqc")
    assert {r.split("==")[0] for r in own["dependsOn"]} >= {"pydicom", "numpy", "uvicorn", "pg8000"}
    assert all(set(d.get("dependsOn", ())) <= known for d in document["dependencies"])
    # A document that says less than the schema asks for is refused: the schema is really read.
    del document["components"][0]["name"]
    assert list(Draft7Validator(parts[name], registry=registry).iter_errors(document))
