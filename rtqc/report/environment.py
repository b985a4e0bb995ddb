"""The templates: the only place that knows where they lie and how they escape."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rtqc.core.resources import resource_folder
from rtqc.report.view import number, signed


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates, which escape whatever they are given."""
    environment = Environment(
        loader=FileSystemLoader(resource_folder("templates")),
        autoescape=True,  # whatever comes from DICOM is text, never markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed}
    return environment
