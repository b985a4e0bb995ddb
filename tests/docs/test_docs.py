"""The pages that are made from code say what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rule_catalogue_is_up_to_date() -> None:
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == _script("make_rules").catalogue()


def test_the_schemas_are_up_to_date() -> None:
    script = _script("make_schema")
    for name, model in script.SCHEMAS.items():
        assert (DOCS / name).read_text(encoding="utf-8") == script.schema(model)


def test_links_between_pages_lead_somewhere() -> None:
    root = DOCS.parent
    for page in [*DOCS.glob("*.md"), *root.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
