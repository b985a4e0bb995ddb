"""Running commands as a user would, in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from rtqc.cli.main import cli


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as JSON: fails where anything else stands there."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    def findings(self, rule: str) -> list[dict[str, Any]]:
        """Findings of a rule in a one-case document."""
        return [f for f in self.document["findings"] if f["rule"] == rule]


def rtqc(*arguments: object) -> Outcome:
    """Run ``rtqc`` with arguments; an exception that no command caught is the test's failure."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert "Traceback" not in result.output, result.output
    sys.stdout.flush()
    return Outcome(result.exit_code, result.stdout, result.stderr)
