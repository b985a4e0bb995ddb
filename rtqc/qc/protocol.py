"""Protocols: thresholds, constraints and spellings as data, each number with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtqc.core.assessment import Tier
from rtqc.core.names import NameTable
from rtqc.core.settings import SettingsError, explained, load_settings, nearest, read_toml
from rtqc.dosimetry import EXAMPLES, Metric
from rtqc.qc.commissioned import Commissioned
from rtqc.qc.population import Population
from rtqc.qc.upper_ends import UpperEndName

DEFAULT_PROTOCOL = "breast"
#: Thresholds for a contour, whatever is treated; no dose constraints.
CONTOUR_PROTOCOL = "heart"
_FOLDER = Path(__file__).parent / "protocols"


class ProtocolError(SettingsError):
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
    dose_outside_grid_edge: Limit
    course_sum_difference: Limit
    dose_second_calculation: Limit
    dose_small_structure: Limit
    ct_spacing: Limit
    prescription_total: Limit
    substructure_distance: Limit
    population_z: Limit
    dose_level_low: Limit
    dose_level_reached: Limit
    dose_level_unusual: Limit
    dose_level_unusual_direct: Limit
    dose_level_high: Limit
    dose_level_high_direct: Limit
    dose_level_high_stereotactic: Limit
    dose_level_target_low: Limit
    dose_level_target_unusual: Limit
    dose_level_target_high: Limit
    dose_target_coverage: Limit
    dose_grid_spacing: Limit
    dose_grid_spacing_stereotactic: Limit
    side_offset: Limit
    side_share: Limit
    approval_delay: Limit
    anatomy_overlap_spine: Limit
    anatomy_overlap_cord: Limit
    anatomy_overlap_oesophagus: Limit
    anatomy_overlap_target: Limit
    anatomy_lung_gap: Limit


class Constraint(BaseModel):
    """A dose constraint; a value above the limit exceeds it.

    Attributes:
        structure: name of an ROI that it limits; empty: the heart.
        metric: e.g. ``mean_gy``, ``v25_gy_percent`` or ``d0_03cc_gy`` (:mod:`rtqc.dosimetry.metric`).
        eqd2: whether the limit is in fractions of 2 Gy, with the protocol's alpha/beta and the plan's fractions.
        tier: above an ``ideal`` limit somebody must look, above an ``acceptable`` one the plan must not go on.
        side: the treated side that it is for; None: any. See :mod:`rtqc.qc.applicable`.
        optional: whether nothing is said where the structure is not contoured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    description: str
    structure: str = ""
    metric: str
    eqd2: bool = False
    tier: Tier = "acceptable"
    side: Literal["left", "right"] | None = None
    optional: bool = False
    limit: float = Field(ge=0, allow_inf_nan=False)
    unit: str
    source: str

    @property
    def converted_from(self) -> str:
        """The limit of another number of fractions that this one was made from; empty for a limit as its source has it."""
        return ""


class Schedule(BaseModel):
    """A fractionation: total dose in Gy and number of fractions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dose_gy: float = Field(gt=0)
    fractions: int = Field(gt=0)


class Applies(BaseModel):
    """Which plans a protocol is for; see :mod:`rtqc.qc.choice`.

    Attributes:
        site: what is treated; protocols of one site share its words.
        words: words for the site in plan labels and names of targets, lower case, without accents.
        supporting_words: words that speak for the site only beside a fractionation of its own.
        schedules: fractionations that it is for.
        general: whether it also serves the site's other fractionations.
        converted: whether its limits are converted to the plan's fractions even for its own schedules.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    words: tuple[str, ...] = ()
    supporting_words: tuple[str, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    general: bool = False
    converted: bool = False


class Names(BaseModel):
    """Spellings; see :class:`rtqc.core.names.NameTable`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


class HeartDefinition(BaseModel):
    """What the clinic calls heart.

    Attributes:
        upper_end: where it begins (:mod:`rtqc.qc.upper_ends`); None: nobody says, and any school's upper end is accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    upper_end: UpperEndName | None = None


class Protocol(BaseModel):
    """A protocol file.

    Attributes:
        applies: which plans it is for; None: only those for which it is named.
        alpha_beta: of the heart, in Gy, for doses in fractions of 2 Gy.
        reference_schedule: the fractionation that its physical limits were made for; None: nobody says.
        heart: what the clinic calls heart.
        commissioned: what ``rtqc commission`` has measured; None: nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    applies: Applies | None = None
    alpha_beta: Limit = Limit(
        value=3.0,
        unit="Gy",
        source="usual assumption for late effects in normal tissue (Fowler, Br J Radiol 62:679, 1989); none is established for the heart",
    )
    reference_schedule: Schedule | None = None
    names: Names = Names()
    heart: HeartDefinition = HeartDefinition()
    commissioned: Commissioned | None = None
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
    path = _file_of(name_or_file, Path())
    try:
        content = _content(path, ())
    except SettingsError as error:
        raise ProtocolError(str(error)) from error
    try:
        protocol = Protocol.model_validate(content)
    except ValidationError as error:
        raise ProtocolError(f"{path.name}: {explained(error, Protocol, ['extends'])}") from error
    _check_constraints(protocol, path.name)
    for rule in protocol.severity:
        if known_rules and rule not in known_rules:
            raise ProtocolError(f"{path.name}: [severity] names the unknown rule '{rule}'{nearest(rule, known_rules)}")
    return protocol


def _read_population(content: dict[str, Any], path: Path) -> None:
    """Put the clinic's hearts, which lie in a file beside the protocol, into what it says of its commissioning.

    Raises:
        SettingsError: the file is not there, or not one of hearts.
    """
    told = content.get("commissioned")
    name = told.get("population_file") if isinstance(told, dict) else None
    if isinstance(told, dict) and isinstance(name, str) and name:
        told["population"] = load_settings(path.parent / Path(name).name, Population)


def _check_constraints(protocol: Protocol, file: str) -> None:
    """Whether each constraint can be evaluated, and the two limits of a pair stand in their order.

    Raises:
        ProtocolError: an unknown metric, a unit that is not the metric's, an id that is there twice, or an ideal limit above its acceptable one.
    """
    ids: set[str] = set()
    for constraint in protocol.constraints:
        try:
            metric = Metric.named(constraint.metric)
        except ValueError as error:
            near = nearest(constraint.metric, EXAMPLES)
            raise ProtocolError(f"{file}: constraint {constraint.id}: unknown metric '{constraint.metric}'{near}") from error
        if constraint.unit != metric.unit:
            raise ProtocolError(
                f"{file}: constraint {constraint.id}: {constraint.metric} is in {metric.unit}, not in '{constraint.unit}'"
            )
        if constraint.id in ids:
            raise ProtocolError(f"{file}: two constraints have the id '{constraint.id}': give each its own")
        ids.add(constraint.id)
    for ideal in (c for c in protocol.constraints if c.tier == "ideal"):
        for acceptable in (c for c in protocol.constraints if c.tier == "acceptable"):
            if _limited(ideal) == _limited(acceptable) and ideal.limit > acceptable.limit:
                raise ProtocolError(
                    f"{file}: constraint {ideal.id}: the ideal limit of {ideal.limit:g} {ideal.unit} is above the acceptable one of {acceptable.limit:g} {ideal.unit} ({acceptable.id})"
                )


def _limited(constraint: Constraint) -> tuple[str, str, bool, str | None]:
    """What a constraint limits: two of it, one of each tier, are a pair."""
    return constraint.structure, constraint.metric, constraint.eqd2, constraint.side


def _file_of(name_or_file: str, beside: Path) -> Path:
    """The file of a protocol: a path (from ``beside``), else a shipped name."""
    for path in (beside / name_or_file, _FOLDER / f"{name_or_file}.toml"):
        if path.is_file():
            return path
    near = nearest(name_or_file, list_protocols())
    raise ProtocolError(
        f"there is no protocol '{name_or_file}'{near}: give one of {', '.join(list_protocols())}, or a TOML file"
    )


def _content(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """A file's content, laid over that of the protocol which it extends."""
    if path.resolve() in extending:
        raise ProtocolError(f"{path.name} extends itself")
    own = read_toml(path)
    _read_population(own, path)
    extended = own.pop("extends", None)
    if extended is None:
        return own
    if not isinstance(extended, str):
        raise ProtocolError(f"{path.name}: 'extends' is the name of a protocol or a TOML file")
    base = _content(_file_of(extended, path.parent), (*extending, path.resolve()))
    # Which plans a protocol is for is its own affair, like its name; limits of its own were made for whatever it says.
    base.pop("applies", None)
    if "constraints" in own:
        base.pop("reference_schedule", None)
    # A later commissioning takes the place of an earlier one as a whole.
    if "commissioned" in own:
        base.pop("commissioned", None)
    return _laid_over(base, own)


def _laid_over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables merge key by key; anything else, lists too, is replaced. A limit is replaced whole: its source goes with its value."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _laid_over(base[key], value) if both and "source" not in base[key] else value
    return merged
