"""A commissioning: check every plan as a night does, learn from the accepted contours, write report, protocol and constancy cases."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rtqc.core.assessment import Assessment
from rtqc.core.version import rtqc_version
from rtqc.core.volumes import Image
from rtqc.core.whole_file import whole_file
from rtqc.dicom import load_case
from rtqc.heart import Engine, load_model
from rtqc.nightly.commissioning.cases import CASES, sorted_cases
from rtqc.nightly.commissioning.comparison import JSON_FILE, compared, read_report
from rtqc.nightly.commissioning.constancy import FOLDER as CONSTANCY_FOLDER
from rtqc.nightly.commissioning.constancy import MOST_CASES, store_cases
from rtqc.nightly.commissioning.learn import Archive, clinic_population, learned
from rtqc.nightly.commissioning.page import commissioning_page
from rtqc.nightly.commissioning.protocol_file import PROTOCOL_FILE, write_protocol
from rtqc.nightly.commissioning.result import CaseMeasured, CommissioningReport
from rtqc.nightly.engine import Crew
from rtqc.nightly.night import Listener, Night
from rtqc.nightly.orders import Order, Settings
from rtqc.nightly.places import PlaceError, Places
from rtqc.nightly.scan import Selection, scan
from rtqc.nightly.store import Row, Store, open_store
from rtqc.qc import DEFAULT_PROTOCOL, Protocol, load_protocol
from rtqc.report import NoBrowserError, page_pdf

HTML_FILE, PDF_FILE, STORE_FILE = "commissioning.html", "commissioning.pdf", "rtqc.sqlite"


@dataclass
class Commissioning:
    """What a commissioning is to do.

    Attributes:
        archive: folder of accepted plans; never written to.
        out: where everything goes.
        settings: how plans are drafted and checked.
        protocol: name or file of the protocol that is extended; empty: the one that most of the plans ask for.
        crew: who works.
        selection: which plans.
        without: patterns of Patient IDs whose contours turned out to be wrong.
        earlier: folder of an earlier commissioning that this one is compared with; None: none.
        replace: whether an earlier commissioning in ``out`` may be replaced.
        pdf: whether the report is printed too.
    """

    archive: Path
    out: Path
    settings: Settings
    protocol: str = ""
    crew: Crew = Crew()
    selection: Selection = Selection()
    without: tuple[str, ...] = ()
    earlier: Path | None = None
    replace: bool = False
    pdf: bool = True

    def run(self, listener: Listener, said: Callable[[str], None] = lambda sentence: None) -> CommissioningReport:
        """Do it; stopped anywhere, plans that were done are not done again.

        Args:
            listener: told how the plans go.
            said: told what somebody should know.

        Raises:
            PlaceError, StoreError, ClusterError, ProtocolError, ModelError, OSError: what could not go on; what was done is kept.
        """
        earlier = read_report(self.earlier) if self.earlier is not None else None
        places = self._places()
        places.make()
        store = open_store(places.out / STORE_FILE, told=said)
        try:
            settings = replace(self.settings, all_reports=True)
            Night(self.archive, places, store, settings, self.crew, self.selection).run(listener)
            results = list(_of(store, settings))
            if not results:
                raise PlaceError(
                    f"{self.archive} holds no plan that rtqc can read: give the folder that holds the clinic's exports"
                )
            report = self._learned(results, earlier, store, said)
        finally:
            store.close()
        return report

    def _places(self) -> Places:
        if (self.out / PROTOCOL_FILE).exists() and not self.replace:
            raise PlaceError(
                f"{self.out} holds a commissioning already: give another --out, or --force to replace it (a clinic may use its protocol)"
            )
        if self.out.is_dir() and any(self.out.iterdir()) and not (self.out / CASES).is_dir():
            raise PlaceError(
                f"{self.out} holds other files: give an empty folder, or one of an earlier rtqc commission, with --out"
            )
        places = Places(self.out / CASES)
        places.check(self.archive)
        return places

    def _learned(
        self,
        results: list[tuple[Row, Assessment]],
        earlier: CommissioningReport | None,
        store: Store,
        said: Callable[[str], None],
    ) -> CommissioningReport:
        cases, left, assessments = sorted_cases(results, self.without)
        protocols = Counter(c.protocol for c in cases)
        name = self.protocol or (protocols.most_common(1)[0][0] if protocols else DEFAULT_PROTOCOL)
        base: Protocol = self.settings.protocol or load_protocol(name)
        devices = Counter(a.run.device for _, a in results if a.run.device)
        archive = Archive(
            datetime.now(UTC).astimezone().date().isoformat(), str(self.archive), self._model_name(), self.settings.model_hash,
            devices.most_common(1)[0][0] if devices else "", platform.node(), rtqc_version(), base, protocols,
        )  # fmt: skip
        report, rules = learned(cases, left, archive)
        if earlier is not None and self.earlier is not None:
            report = report.model_copy(update={"comparison": compared(report, earlier, str(self.earlier))})
        population = clinic_population(assessments, archive.date)
        said("storing cases for the constancy check")
        self._store_constancy(cases, store, base)
        page = commissioning_page(report, self.out)
        self._write(JSON_FILE, (report.model_dump_json(indent=2) + "\n").encode("utf-8"))
        self._write(HTML_FILE, page.encode("utf-8"))
        if self.pdf:
            try:
                self._write(PDF_FILE, page_pdf(page))
            except NoBrowserError as error:
                said(f"no PDF was made: {error}")
        # The protocol comes last: where it is, everything else is.
        write_protocol(report, rules, population, name, self.out)
        return report

    def _model_name(self) -> str:
        return load_model(self.settings.model, verify=False).manifest.name

    def _write(self, name: str, content: bytes) -> None:
        with whole_file(self.out / name) as file:
            file.write(content)

    def _store_constancy(self, cases: list[CaseMeasured], store: Store, base: Protocol) -> None:
        """Ten cases from the worst agreement to the best, read again from the archive."""
        chosen = {c.key for c in _spread(sorted(cases, key=lambda c: (c.dice, c.key)), MOST_CASES)}
        subjects = {row.subject for row in store.rows() if row.key in chosen}
        orders = [o for o in scan(self.archive, store, self.selection).orders if o.subject in subjects]
        engine = Engine(load_model(self.settings.model), self.settings.device, self.settings.threads)
        own = (
            ""
            if load_model(self.settings.model, verify=False).folder.name == self.settings.model
            else str(Path(self.settings.model).resolve())
        )
        for old in (self.out / CONSTANCY_FOLDER).glob("case-*.npz"):
            old.unlink()
        store_cases([_reader(order) for order in orders], engine, self.out, own, base.heart.upper_end)


def _of(store: Store, settings: Settings) -> Iterator[tuple[Row, Assessment]]:
    """Results by this model and these settings: those of another model lie in the same store when a folder is used again."""
    for row, a in store.assessments():
        if a.heart.draft is None or a.heart.draft.model_hash == settings.model_hash:
            yield row, a


def _spread(cases: list[CaseMeasured], most: int) -> list[CaseMeasured]:
    if len(cases) <= most:
        return cases
    return [cases[round(k * (len(cases) - 1) / (most - 1))] for k in range(most)]


def _reader(order: Order) -> Callable[[], Image]:
    def read() -> Image:
        image = load_case(order.parts, order.index).image
        assert image is not None  # it was drafted
        return image

    return read
