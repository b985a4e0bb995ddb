"""Where rtqc keeps what it has fetched: one folder of the user's, outside any project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Names another folder.
VARIABLE = "RTQC_CACHE"


def cache_folder() -> Path:
    """The folder; not made here. ``RTQC_CACHE`` where it is set, else what the system has for that."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rtqc"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rtqc"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtqc"


def fetched_models() -> Path:
    """Folder of the models that ``rtqc model fetch`` has installed, one a folder."""
    return cache_folder() / "models"
