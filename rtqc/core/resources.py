"""Where the data that ships with rtqc lies: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_folder(name: str) -> Path:
    """The folder ``models`` or ``templates``.

    Raises:
        FileNotFoundError: it is in neither place: the installation is not whole.
    """
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder '{name}' of rtqc is missing: install rtqc again")
