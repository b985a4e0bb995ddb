"""rtqc's version, as ``pyproject.toml`` says it."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@lru_cache(maxsize=1)
def rtqc_version() -> str:
    """The installed version; ``0+unknown`` when run from a folder that was never installed."""
    try:
        return version("rtqc")
    except PackageNotFoundError:
        return "0+unknown"
