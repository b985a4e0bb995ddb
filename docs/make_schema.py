"""Write the JSON schemas from the models: ``python docs/make_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from rtqc.core import Assessment
from rtqc.core.cardiac_report import CardiacReport
from rtqc.nightly import Summary
from rtqc.nightly.commissioning import CommissioningReport, ConstancyReport

#: File -> what it describes.
SCHEMAS: dict[str, type[BaseModel]] = {
    "assessment.schema.json": Assessment,
    "cardiac.schema.json": CardiacReport,
    "nightly.schema.json": Summary,
    "commissioning.schema.json": CommissioningReport,
    "constancy.schema.json": ConstancyReport,
}


def schema(model: type[BaseModel]) -> str:
    """A schema as text."""
    return json.dumps(model.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    for name, model in SCHEMAS.items():
        Path(__file__).with_name(name).write_text(schema(model), encoding="utf-8")
