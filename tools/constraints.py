"""``python -m tools.constraints``: write constraints.txt, every package of an installation with its version and the hash of its file.

The files are those that pip chooses here: for this system and this version of Python, which stand at the top. ``pip install --require-hashes -r constraints.txt`` installs these files
or nothing; then ``pip install --no-deps rtqc-*.whl``.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tools.closure import ROOT, wheelhouse_extras

FILE = ROOT / "constraints.txt"


def resolved(extras: tuple[str, ...]) -> list[dict[str, Any]]:
    """What pip would install into an empty environment, as its own report says it."""
    wanted = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip cannot find everything: {done.stderr.strip()}")
    items: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return items


def constraints(items: list[dict[str, Any]], extras: tuple[str, ...]) -> str:
    """The text of the file."""
    lines = [
        f"# rtqc{'[' + ','.join(extras) + ']' if extras else ''} for {sysconfig.get_platform()}, Python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}; "
        "made by: python -m tools.constraints",
        "# pip install --require-hashes -r constraints.txt; then pip install --no-deps rtqc-*.whl (docs/installation.md)",
    ]
    for item in sorted(items, key=lambda i: canonicalize_name(i["metadata"]["name"])):
        name = canonicalize_name(item["metadata"]["name"])
        if name == "rtqc":
            continue
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={item['metadata']['version']} --hash=sha256:{digest}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extras", default=",".join(wheelhouse_extras()), help="[default: those of make wheelhouse]")
    parser.add_argument("--out", type=Path, default=FILE)
    told = parser.parse_args()
    extras = tuple(e for e in told.extras.split(",") if e)
    told.out.write_text(constraints(resolved(extras), extras), "utf-8")
    print(told.out)


if __name__ == "__main__":
    main()
