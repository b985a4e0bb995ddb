"""Protocols: thresholds, constraints and spellings as data, each number with its source."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtqc.core.assessment import DoseMetrics
from rtqc.core.names import NameTable

DEFAULT_PROTOCOL = "breast"
_FOLDER = Path(__file__).parent / "protocols"


class ProtocolError(Exception):
    """A protocol that cannot be used; the message names the file, the key and what to do."""


class Limit(BaseModel):
    """A threshold: its value, unit and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    unit: str = ""
    source: str


class Limits(BaseModel):
    """Thresholds of the rules; ``docs/rules.md`` says which rule reads which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contour_off_plane: Limit
    contour_outside_body: Limit
    contour_island: Limit
    contour_hole: Limit
    contour_copied: Limit
    contour_area_jump: Limit
    contour_volume_low: Limit
    contour_volume_high: Limit
    contour_contains_lung: Limit
    contour_overlaps_lung: Limit
    agreement_end: Limit
    agreement_dice: Limit
    agreement_hausdorff95: Limit
    agreement_surface_distance: Limit
    agreement_volume: Limit
    dose_mean_difference: Limit
    dose_outside_grid: Limit
    dose_second_calculation: Limit
    ct_spacing: Limit


class Constraint(BaseModel):
    """A dose constraint on the heart; a value above the limit exceeds it.

    Attributes:
        metric: a key of the JSON's dose object, e.g. ``mean_gy`` or ``v25_gy_percent``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    description: str
    metric: str
    limit: float
    unit: str
    source: str


class Names(BaseModel):
    """Spellings; see :class:`rtqc.core.names.NameTable`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class Protocol(BaseModel):
    """A protocol file.

    Attributes:
        alpha_beta: of the heart, in Gy, for doses in fractions of 2 Gy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    alpha_beta: Limit = Limit(
        value=3.0,
        unit="Gy",
        source="usual assumption for late effects in normal tissue (Fowler, Br J Radiol 62:679, 1989); none is established for the heart",
    )
    names: Names = Names()
    severity: dict[str, Literal["fail", "warning", "info", "off"]] = Field(default_factory=dict)
    limits: Limits
    constraints: tuple[Constraint, ...] = ()

    @property
    def name_table(self) -> NameTable:
        """The spellings, as the name rules take them."""
        return NameTable(self.names.words, self.names.accepted, self.names.rejected)


def list_protocols() -> list[str]:
    """Names of the protocols that ship with rtqc."""
    return sorted(p.stem for p in _FOLDER.glob("*.toml"))


def load_protocol(name_or_file: str = DEFAULT_PROTOCOL, known_rules: frozenset[str] = frozenset()) -> Protocol:
    """A shipped protocol by name, or a clinic's own file.

    Args:
        name_or_file: a name of :func:`list_protocols` or a path to a TOML file.
        known_rules: rule ids that ``[severity]`` may name; empty: not checked.

    Raises:
        ProtocolError: not found, not TOML, an unknown key (the nearest valid one is named) or a wrong value.
    """
    path = Path(name_or_file)
    if not path.is_file():
        path = _FOLDER / f"{name_or_file}.toml"
        if not path.is_file():
            raise ProtocolError(
                f"there is no protocol '{name_or_file}': give one of {', '.join(list_protocols())}, or a TOML file"
            )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        protocol = Protocol.model_validate(content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path.name} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ProtocolError(f"{path.name}: {_explained(error)}") from error
    for constraint in protocol.constraints:
        if constraint.metric not in DoseMetrics.model_fields:
            raise ProtocolError(
                f"{path.name}: constraint {constraint.id}: unknown metric '{constraint.metric}'{_nearest(constraint.metric, DoseMetrics.model_fields)}"
            )
    for rule in protocol.severity:
        if known_rules and rule not in known_rules:
            raise ProtocolError(f"{path.name}: [severity] names the unknown rule '{rule}'{_nearest(rule, known_rules)}")
    return protocol


def _explained(error: ValidationError) -> str:
    # A mistyped key is also a missing one: the mistyped one is what the reader sees in the file.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        scope = Limits.model_fields if len(first["loc"]) > 1 and first["loc"][0] == "limits" else Protocol.model_fields
        return f"unknown key '{where}'{_nearest(key, scope)}"
    return f"'{where}': {first['msg']}"


def _nearest(word: str, known: object) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)  # type: ignore[call-overload]
    return f"; did you mean '{near[0]}'?" if near else ""
