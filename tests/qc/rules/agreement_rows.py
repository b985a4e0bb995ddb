"""Contour against draft: which end lies where, which volume is larger, which slices are the worst."""

from __future__ import annotations

from rtqc.qc import Choice, Measurements, load_protocol
from rtqc.qc.commissioned import Commissioned
from tests.qc.rules.build import HEART_ML, WORST, agreement, block, draft, measured
from tests.qc.rules.table import Fires, Silent

_LOW, _HIGH = -30.0, 30.0


def _ends(low: float = _LOW, high: float = _HIGH) -> Measurements:
    """A contour with ends of its own; the draft ends at -30 and 30 mm."""
    inner = [z for z in range(-27, 28, 3) if low < z < high]
    return measured(block("Heart", (low, *map(float, inner), high)), draft=draft())


def _commissioned(model_hash: str) -> Measurements:
    """A protocol that was commissioned with drafts of a model of this hash; that of the tests' drafts is empty."""
    told = Commissioned(date="2026-11-27", model="theirs", model_hash=model_hash, cases=12)
    protocol = load_protocol("heart").model_copy(update={"commissioned": told})
    return measured(draft=draft(), choice=Choice(protocol, "named", "asked for"))


def _volumes(difference_ml: float) -> Measurements:
    drawn = block("Heart_rtqc", corners=(-20.0, -40.0, 60.0 + difference_ml / HEART_ML * 80, 20.0))
    return measured(draft=draft(drawn), agreement=agreement(volume_difference_ml=difference_ml))


ROWS: tuple[Fires | Silent, ...] = (
    Fires(
        "draft.no_heart", "an empty draft",
        lambda: measured(draft=draft(block(heights=()), doubts=("it is a head",), trusted=False)),
        ("The model found no heart on the CT: it is a head.", "contour and check it by hand"),
    ),
    Silent("draft.no_heart", "a draft", lambda: measured(draft=draft())),
    Silent("draft.no_heart", "no draft", measured),
    Fires(
        "draft.cut_off", "a heart that leaves the image below and to the left", lambda: measured(draft=draft(cut_off=("inferior", "left"))),
        ("cut off by the image (inferior, left)", "those of the visible part"),
    ),
    Silent("draft.cut_off", "a heart inside", lambda: measured(draft=draft())),
    Fires(
        "draft.untrusted", "a draft with doubts", lambda: measured(draft=draft(trusted=False, doubts=("it is small", "it is low"), predicted_dice=0.71)),
        ("not trusted because it is small; it is low", "Check the contour by hand"), measured=0.71,
    ),
    Silent("draft.untrusted", "a draft that is trusted", lambda: measured(draft=draft())),
    Silent("draft.untrusted", "an empty draft, of which draft.no_heart speaks", lambda: measured(draft=draft(block(heights=()), trusted=False, doubts=("no",)))),
    # The upper and the lower end, above and below the draft's.
    Fires(
        "agreement.upper_end", "31 mm above", lambda: _ends(high=61.0),
        ("The upper end of Heart lies 31 mm above the draft's, further than schools differ", "from 30.0 to 61.0 mm"), ("below", "lower"), 31.0, 30.0, "mm", (30.0, 61.0), ("Heart",),
    ),
    Fires(
        "agreement.upper_end", "41 mm below", lambda: _ends(high=-11.0),
        ("The upper end of Heart lies 41 mm below the draft's, further than schools differ", "from -11.0 to 30.0 mm"), ("above", "lower"), 41.0, 40.0, "mm", (-11.0, 30.0), ("Heart",),
    ),
    Silent("agreement.upper_end", "30 mm above, as some school draws", lambda: _ends(high=60.0)),
    Silent("agreement.upper_end", "40 mm below, as some school draws", lambda: _ends(high=-10.0)),
    Silent("agreement.upper_end", "another lower end", lambda: _ends(low=-60.0)),
    Silent("agreement.upper_end", "an empty draft", lambda: measured(draft=draft(block(heights=())))),
    Fires(
        "agreement.upper_end_definition", "16 mm above", lambda: _ends(high=46.0),
        ("Heart begins 16 mm above the draft.", "the upper end is not judged", "rtqc commission"), ("below",), 16.0, 30.0, "mm", structures=("Heart",),
    ),
    Fires(
        "agreement.upper_end_definition", "16 mm below", lambda: _ends(high=14.0),
        ("Heart begins 16 mm below the draft.", "the upper end is not judged"), ("above",), 16.0, 40.0, "mm", structures=("Heart",),
    ),
    Silent("agreement.upper_end_definition", "15 mm above", lambda: _ends(high=45.0)),
    Silent("agreement.upper_end_definition", "15 mm below", lambda: _ends(high=15.0)),
    Silent("agreement.upper_end_definition", "31 mm above, as no school draws", lambda: _ends(high=61.0)),
    Silent("agreement.upper_end_definition", "41 mm below, as no school draws", lambda: _ends(high=-11.0)),
    Silent("agreement.upper_end_definition", "another lower end", lambda: _ends(low=-60.0)),
    Fires(
        "protocol.other_model", "a protocol of another model's drafts", lambda: _commissioned("0" * 64),
        ("commissioned with drafts by theirs (000000000000), and this draft is by test", "Check with --model theirs, or commission again"), measured="test",
    ),
    Silent("protocol.other_model", "a protocol of this model's drafts", lambda: _commissioned("")),
    Silent("protocol.other_model", "a protocol that nobody commissioned", lambda: measured(draft=draft())),
    Fires(
        "agreement.lower_end", "17 mm above", lambda: _ends(low=-13.0),
        ("The lower end of Heart lies 17 mm above the draft's", "from -30.0 to -13.0 mm"), ("below", "upper"), 17.0, 15.0, "mm", (-30.0, -13.0), ("Heart",),
    ),
    Fires(
        "agreement.lower_end", "17 mm below", lambda: _ends(low=-47.0),
        ("The lower end of Heart lies 17 mm below the draft's", "from -47.0 to -30.0 mm"), ("above", "upper"), 17.0, 15.0, "mm", (-47.0, -30.0), ("Heart",),
    ),
    Silent("agreement.lower_end", "15 mm above", lambda: _ends(low=-15.0)),
    Silent("agreement.lower_end", "15 mm below", lambda: _ends(low=-45.0)),
    Silent("agreement.lower_end", "another upper end", lambda: _ends(high=60.0)),
    # Distances: the worst slices are named, worst first.
    Fires(
        "agreement.dice", "0.84", lambda: measured(draft=draft(), agreement=agreement(dice=0.84)),
        ("Heart and the draft overlap with a Dice of 0.84, below 0.85", "differ most at 12.0 mm"), (), 0.84, 0.85, "", WORST, ("Heart",),
    ),
    Silent("agreement.dice", "0.85", lambda: measured(draft=draft(), agreement=agreement(dice=0.85))),
    Silent("agreement.dice", "no contour to compare", lambda: measured(block("Liver"), draft=draft(), agreement=agreement(dice=0.1))),
    Fires(
        "agreement.hausdorff95", "23.4 mm", lambda: measured(draft=draft(), agreement=agreement(hausdorff95_mm=23.4)),
        ("5 % of one surface", "more than 23 mm from the other (limit 18 mm)", "most at 12.0 mm"), (), 23.4, 18.0, "mm", WORST,
    ),
    Silent("agreement.hausdorff95", "18 mm", lambda: measured(draft=draft(), agreement=agreement(hausdorff95_mm=18.0))),
    Silent("agreement.hausdorff95", "unknown", lambda: measured(draft=draft(), agreement=agreement(hausdorff95_mm=None))),
    Fires(
        "agreement.mean_surface_distance", "5.13 mm", lambda: measured(draft=draft(), agreement=agreement(mean_surface_distance_mm=5.13)),
        ("Contour and draft are 5.1 mm apart on average (limit 5 mm)",), (), 5.13, 5.0, "mm", WORST,
    ),
    Silent("agreement.mean_surface_distance", "5 mm", lambda: measured(draft=draft(), agreement=agreement(mean_surface_distance_mm=5.0))),
    Silent("agreement.mean_surface_distance", "unknown", lambda: measured(draft=draft(), agreement=agreement(mean_surface_distance_mm=None))),
    # Volumes: draft minus contour, in percent of the contour, both signs.
    Fires(
        "agreement.volume", "a draft that is a quarter larger", lambda: _volumes(0.25 * HEART_ML),
        ("The draft is 25 % larger than Heart (378 against 302 ml)",), ("smaller",), 25.0, 20.0, "% of the contour's volume", structures=("Heart",),
    ),
    Fires(
        "agreement.volume", "a draft that is a quarter smaller", lambda: _volumes(-0.25 * HEART_ML),
        ("The draft is 25 % smaller than Heart (227 against 302 ml)",), ("larger",), 25.0, 20.0, "% of the contour's volume", structures=("Heart",),
    ),
    Silent("agreement.volume", "19.9 % larger", lambda: _volumes(0.199 * HEART_ML)),
    Silent("agreement.volume", "19.9 % smaller", lambda: _volumes(-0.199 * HEART_ML)),
    Silent("agreement.volume", "a fifth of the draft, which is a sixth of the contour", lambda: _volumes(HEART_ML / 6)),
)  # fmt: skip
