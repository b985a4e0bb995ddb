"""``python -m tools.sbom``: write sbom.json, the software bill of materials (CycloneDX 1.6) of what is installed here for rtqc."""

from __future__ import annotations

import argparse
import re
from importlib.metadata import Distribution
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.closure import ROOT, closure_of, project, wheelhouse_extras
from tools.licences import licence_of


def bill_of_materials(extras: tuple[str, ...]) -> Bom:
    """rtqc, everything that it needs with these extras, and who needs what."""
    closure = closure_of(extras)
    if closure.missing:
        raise SystemExit(f"not installed here: {', '.join(sorted(closure.missing))}. Install rtqc with these extras first.")
    told = project()
    bom = Bom()
    root = Component(
        type=ComponentType.APPLICATION, name="rtqc", version=str(told["version"]), bom_ref="rtqc", description=str(told["description"]),
        licenses=[LicenseFactory().make_from_string("Apache-2.0")], purl=PackageURL("pypi", name="rtqc", version=str(told["version"])),
    )  # fmt: skip
    bom.metadata.component = root
    components = {name: _component(name, package) for name, package in closure.packages.items()}
    for component in components.values():
        bom.components.add(component)
    for name, needs in closure.needs.items():
        who = root if name == "rtqc" else components.get(name)
        if who is not None:
            bom.register_dependency(who, [components[n] for n in sorted(needs) if n in components])
    return bom


def _component(name: str, package: Distribution) -> Component:
    licence = licence_of(package, name)
    # What is no name of SPDX is kept as a name.
    made = LicenseFactory().make_from_string(re.sub(r"\s+", " ", licence)) if licence else None
    own = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    return Component(
        type=ComponentType.LIBRARY, name=own, version=package.version, bom_ref=f"{own}=={package.version}",
        licenses=[made] if made is not None else None, purl=PackageURL("pypi", name=own, version=package.version),
    )  # fmt: skip


def as_json(bom: Bom) -> str:
    """The document."""
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extras", default=",".join(wheelhouse_extras()), help="[default: those of make wheelhouse]")
    parser.add_argument("--out", type=Path, default=ROOT / "sbom.json")
    told = parser.parse_args()
    told.out.write_text(as_json(bill_of_materials(tuple(e for e in told.extras.split(",") if e))), "utf-8")
    print(told.out)


if __name__ == "__main__":
    main()
