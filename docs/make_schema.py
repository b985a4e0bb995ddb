"""Write docs/assessment.schema.json from the model: ``python docs/make_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from rtqc.core import Assessment

TARGET = Path(__file__).with_name("assessment.schema.json")


def schema() -> str:
    """The schema as text."""
    return json.dumps(Assessment.model_json_schema(mode="serialization"), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(schema(), encoding="utf-8")
