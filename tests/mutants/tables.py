"""What is exchanged for what: names, words and functions whose exchange is a mistake that somebody could make."""

from __future__ import annotations

from collections.abc import Iterable


def _both_ways(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    table: dict[str, str] = {}
    for one, other in pairs:
        table.setdefault(one, other)
        table.setdefault(other, one)
    return table


#: Words of direction, size and order, as they stand in what a user reads or in a table of names.
WORDS = _both_ways((
    ("above", "below"), ("over", "under"), ("left", "right"), ("anterior", "posterior"), ("inferior", "superior"), ("larger", "smaller"),
    ("large", "small"), ("largest", "smallest"), ("longer", "shorter"), ("more", "less"), ("most", "least"), ("higher", "lower"),
    ("highest", "lowest"), ("high", "low"), ("upper", "lower"), ("inside", "outside"), ("within", "beyond"), ("before", "after"),
    ("earlier", "later"), ("first", "last"), ("best", "worst"), ("maximum", "minimum"), ("max", "min"), ("up", "down"),
    ("increase", "decrease"), ("wider", "narrower"), ("nearer", "further"), ("nearest", "furthest"), ("thicker", "thinner"),
    ("cranial", "caudal"), ("row", "column"), ("rows", "columns"), ("start", "end"), ("top", "bottom"), ("draft", "contour"),
    ("PHYSICAL", "EFFECTIVE"), ("L", "R"), ("with", "without"), ("met", "exceeded"), ("a", "b"),
))  # fmt: skip

#: Variables and attributes that stand for the same thing on another axis, side, end or heart.
NAMES = _both_ways((
    ("row", "column"), ("rows", "columns"), ("u", "v"), ("x", "y"), ("dx", "dy"), ("tx", "ty"), ("tu", "tv"), ("width", "height"),
    ("a", "b"), ("area_a", "area_b"), ("points_a", "points_b"), ("low", "high"), ("lower", "upper"), ("lowest", "highest"),
    ("start", "end"), ("first", "second"), ("first", "last"), ("before", "after"), ("above", "below"), ("f0", "f1"), ("t0", "t1"), ("r0", "c0"),
    ("i", "j"), ("own", "drafted"), ("contoured", "draft"), ("contoured", "drafted"), ("heart", "draft"), ("heart_dose", "draft_dose"),
    ("physical", "eqd2"), ("columns_mm", "rows_mm"), ("a_to_b", "b_to_a"), ("outer", "inner"), ("outer", "holes"), ("filled", "holes"),
    ("smaller", "larger"), ("least", "most"), ("max_gy", "min_gy"), ("max_gy", "mean_gy"), ("ml", "gy"), ("left", "right"), ("upper_end_sd_mm", "lower_end_sd_mm"),
    ("down", "up"), ("reference", "other"), ("old", "new"), ("planned", "given"), ("from_gy", "to_gy"), ("volume_ml", "volume"),
))  # fmt: skip

#: Functions and methods, by the last part of their name.
FUNCTIONS = _both_ways((
    ("min", "max"), ("any", "all"), ("minimum", "maximum"), ("fmin", "fmax"), ("floor", "ceil"), ("argmin", "argmax"),
    ("intersection", "union"), ("zeros", "ones"), ("ascending", "descending"), ("startswith", "endswith"),
    ("union_all", "intersection_all"), ("sin", "cos"), ("issubset", "issuperset"), ("lstrip", "rstrip"), ("nanmin", "nanmax"),
))  # fmt: skip

#: Functions whose first argument alone is what a forgotten call leaves.
DROPPABLE = frozenset({
    "abs", "sorted", "sqrt", "clip", "maximum", "minimum", "max", "min", "exp", "square", "cumsum", "reversed", "rint", "sort", "unique",
    "_without_slivers", "_rounded", "strip", "casefold", "cropped", "in_frame", "normalize",
})  # fmt: skip

#: Functions for which the order of two arguments does not matter.
COMMUTATIVE = frozenset({
    "min", "max", "minimum", "maximum", "hypot", "intersection", "union", "symmetric_difference", "isclose", "add", "multiply", "equals",
    "logical_and", "logical_or", "overlap_share", "same_outline", "_partly_overlap", "_slack", "zip", "isinstance", "getattr",
})  # fmt: skip

#: Keywords that change how something is computed, not what.
HOW = frozenset(
    {
        "dtype",
        "strict",
        "workers",
        "balanced_tree",
        "compact_nodes",
        "copy",
        "repr",
        "compare",
        "init",
        "frozen",
        "eq",
        "slots",
        "maxsize",
    }
)
