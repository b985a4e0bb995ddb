"""The tables of the store. What is searched has a column; the assessment is kept whole beside it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: Moments are kept in UTC.
Moment = SqlDateTime(timezone=False)


class Base(DeclarativeBase):
    """All tables."""


class FileRow(Base):
    """A file of an archive, as it was when it was last looked at.

    Attributes:
        archive: the archive's path.
        name: of the file, from there.
        folder: of the file, from there.
        size, changed_ns: in bytes; time of change, in ns. A file of the same size and time is not opened again.
        header: what the index needs of it; null for a file that is not ours.
        digest: of its whole content; empty until it was needed.
    """

    __tablename__ = "file"

    archive: Mapped[str] = mapped_column(String(1024), primary_key=True)
    name: Mapped[str] = mapped_column(String(4096), primary_key=True)
    folder: Mapped[str] = mapped_column(String(4096), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    changed_ns: Mapped[int] = mapped_column(BigInteger)
    header: Mapped[list[object] | None] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(String(64), default="")


class RunRow(Base):
    """A night's run. ``ended`` is null while it runs, and for ever where it was killed and another one took over."""

    __tablename__ = "run"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    archive: Mapped[str] = mapped_column(String(1024))
    started: Mapped[datetime] = mapped_column(Moment)
    ended: Mapped[datetime | None] = mapped_column(Moment)
    host: Mapped[str] = mapped_column(String(255), default="")
    user: Mapped[str] = mapped_column(String(255), default="")
    version: Mapped[str] = mapped_column(String(64), default="")
    settings: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    counts: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)


class ResultRow(Base):
    """A plan's result.

    Attributes:
        key: of everything that it follows from: the files' content, protocol, model, rtqc version.
        identity: of the objects' UIDs.
        subject: UID of the plan (or structure set) that it is about; of its results, the last one is ``current``.
        folder: where its files lie, from the archive.
        plan_date: of the plan, else of the structure set, else of the CT (YYYYMMDD); empty where no file says.
        planner, reviewer: pseudonyms, unless the run was told to keep names.
        size_difference_percent: volume of the draft minus that of the contour, of the contour's.
        seconds: that it took.
        reason: why there is no verdict.
        repeats: whether another current result of this patient has the very same heart and dose: a plan that was exported again.
        numbers: of contoured heart and agreement, for what is usual (:mod:`rtqc.qc.population`).
        assessment: the whole JSON.
    """

    __tablename__ = "result"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    identity: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(128), index=True)
    current: Mapped[bool] = mapped_column(Boolean, default=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), index=True)
    archive: Mapped[str] = mapped_column(String(1024))
    folder: Mapped[str] = mapped_column(String(4096), default="")
    created: Mapped[datetime] = mapped_column(Moment)
    verdict: Mapped[str] = mapped_column(String(8), index=True)
    headline: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    patient_id: Mapped[str] = mapped_column(String(255), default="", index=True)
    patient_name: Mapped[str] = mapped_column(String(255), default="")
    plan_label: Mapped[str] = mapped_column(String(255), default="")
    plan_date: Mapped[str] = mapped_column(String(8), default="", index=True)
    protocol: Mapped[str] = mapped_column(String(255), default="")
    planner: Mapped[str] = mapped_column(String(255), default="")
    reviewer: Mapped[str] = mapped_column(String(255), default="")
    planning_system: Mapped[str] = mapped_column(String(255), default="")
    scanner: Mapped[str] = mapped_column(String(255), default="")
    model: Mapped[str] = mapped_column(String(255), default="")
    version: Mapped[str] = mapped_column(String(64), default="")
    dice: Mapped[float | None] = mapped_column(Float)
    hausdorff95_mm: Mapped[float | None] = mapped_column(Float)
    mean_surface_distance_mm: Mapped[float | None] = mapped_column(Float)
    volume_ml: Mapped[float | None] = mapped_column(Float)
    size_difference_percent: Mapped[float | None] = mapped_column(Float)
    mean_dose_gy: Mapped[float | None] = mapped_column(Float)
    mean_dose_difference_gy: Mapped[float | None] = mapped_column(Float)
    flips: Mapped[int] = mapped_column(Integer, default=0)
    trusted: Mapped[bool | None] = mapped_column(Boolean)
    confidence: Mapped[float | None] = mapped_column(Float)
    predicted_dice: Mapped[float | None] = mapped_column(Float)
    slice_spacing_mm: Mapped[float | None] = mapped_column(Float)
    noise_hu: Mapped[float | None] = mapped_column(Float)
    heart_hu: Mapped[float | None] = mapped_column(Float)
    seconds: Mapped[float] = mapped_column(Float, default=0.0)
    has_report: Mapped[bool] = mapped_column(Boolean, default=False)
    has_thumbnail: Mapped[bool] = mapped_column(Boolean, default=False)
    repeats: Mapped[bool] = mapped_column(Boolean, default=False)
    has_table: Mapped[bool | None] = mapped_column(Boolean)
    numbers: Mapped[dict[str, float] | None] = mapped_column(JSON)
    assessment: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (Index("ix_result_current", "current", "plan_date"),)


class FindingRow(Base):
    """A finding of a result, for counting and searching; its sentence stands in the assessment."""

    __tablename__ = "finding"

    result_id: Mapped[int] = mapped_column(ForeignKey("result.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    rule: Mapped[str] = mapped_column(String(64), index=True)
    severity: Mapped[str] = mapped_column(String(8))
    certainty: Mapped[str] = mapped_column(String(8))


class AcknowledgementRow(Base):
    """A physicist has looked at a flagged plan. Kept by the plan's subject and the result it was about; never changed, only added to.

    Attributes:
        outcome: ``contour``: the contour was wrong; ``model``: the draft was wrong; ``accepted``: both are as they should be; empty: not said.
    """

    __tablename__ = "acknowledgement"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    result_key: Mapped[str] = mapped_column(String(64), index=True)
    made: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(String(255))
    outcome: Mapped[str] = mapped_column(String(16), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[str] = mapped_column(String(64), default="")


class SettingRow(Base):
    """What the store itself must remember: the secret of its pseudonyms."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
