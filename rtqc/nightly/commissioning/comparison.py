"""A commissioning after an update against the one before it, contour by contour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from scipy.stats import t as student_t

from rtqc.nightly.commissioning.result import CaseLeftOut, CaseMeasured, Changed, CommissioningReport, Comparison
from rtqc.nightly.places import PlaceError

JSON_FILE = "commissioning.json"
_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("Dice between the ends", "", "dice"), ("HD95 between the ends", "mm", "hausdorff95_mm"),
    ("Volume, contour over draft", "%", "volume_percent"), ("Upper end, contour minus draft", "mm", "upper_end_mm"),
    ("Lower end, contour minus draft", "mm", "lower_end_mm"), ("Mean heart dose of the draft", "Gy", "draft_mean_gy"),
    ("Predicted Dice", "", "predicted_dice"),
)  # fmt: skip


def read_report(folder: Path) -> CommissioningReport:
    """An earlier commissioning.

    Raises:
        PlaceError: there is none in the folder, or it cannot be read.
    """
    path = folder / JSON_FILE
    try:
        return CommissioningReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlaceError(
            f"{path} cannot be read ({error.strerror or error}): give the --out of an earlier rtqc commission"
        ) from error
    except ValidationError as error:
        raise PlaceError(f"{path} is not a commissioning that this rtqc knows: {error.errors()[0]['msg']}") from error


def compared(now: CommissioningReport, earlier: CommissioningReport, folder: str) -> Comparison:
    """What has changed of the same contours.

    Args:
        now: this commissioning.
        earlier: the one before.
        folder: where that is.
    """
    before = {_identity(c): c for c in earlier.cases}
    pairs = [(before[_identity(c)], c) for c in now.cases if _identity(c) in before]
    untrusted = [{_left(c) for c in r.left_out if c.kind == "untrusted"} for r in (earlier, now)]
    seen = [{(c.patient_id, c.plan_label) for c in r.cases} for r in (earlier, now)]
    changed = [_changed(name, unit, key, pairs) for name, unit, key in _NUMBERS]
    return Comparison(
        earlier=folder,
        date=earlier.date,
        model=earlier.model,
        model_hash=earlier.model_hash,
        rtqc_version=earlier.rtqc_version,
        same_cases=len(pairs),
        changed=tuple(c for c in changed if c is not None),
        newly_flagged=tuple(b.patient_id for a, b in pairs if b.flagged_by and not a.flagged_by),
        no_longer_flagged=tuple(b.patient_id for a, b in pairs if a.flagged_by and not b.flagged_by),
        newly_untrusted=tuple(sorted(p for p, label in untrusted[1] if (p, label) in seen[0])),
        no_longer_untrusted=tuple(sorted(p for p, label in untrusted[0] if (p, label) in seen[1])),
    )


def _identity(case: CaseMeasured) -> tuple[str, str, str]:
    return case.rtstruct_uid or case.plan_label, case.heart, case.patient_id


def _left(case: CaseLeftOut) -> tuple[str, str]:
    return case.patient_id, case.plan_label


def _changed(name: str, unit: str, key: str, pairs: list[tuple[CaseMeasured, CaseMeasured]]) -> Changed | None:
    values = np.array([v for a, b in pairs if None not in (v := (getattr(a, key), getattr(b, key)))], float).reshape(-1, 2)
    n = len(values)
    if not n:
        return None
    differences = values[:, 1] - values[:, 0]
    mean = float(differences.mean())
    half = float(student_t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return Changed(
        name=name, unit=unit, cases=n, before=round(float(values[:, 0].mean()), 4), now=round(float(values[:, 1].mean()), 4), difference=round(mean, 4),
        low=None if half is None else round(mean - half, 4), high=None if half is None else round(mean + half, 4),
    )  # fmt: skip
