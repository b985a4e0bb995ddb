"""Objects that come again: true copies are nothing new, other content under an old UID is."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtqc.node import Inbox, Node, NodeConfig, Watcher
from rtqc.node.outbox import case_name, short_name
from rtqc.pipeline import Options
from tests.boxes import changed, without_contours, write_box


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that nothing is sent to over the network: its inbox is filled by hand."""
    config = NodeConfig(
        state=tmp_path / "state", reports=tmp_path / "reports", anybody=True, quiet_seconds=0.01, device="cpu", least_free_mib=0
    )
    found = Node(config)
    found.inbox.open()
    found.outbox.open()
    yield found
    found.checker.close()


def receive(node: Node, folder: Path, plan: Path) -> None:
    """As the receiver does: an object replaces what was there under its UID."""
    folder.mkdir(exist_ok=True)
    for file in plan.iterdir():
        shutil.copy(file, folder / file.name)
    node.inbox.touched(folder)
    time.sleep(0.05)
    node.check_due()


def volumes(folder: Path) -> list[float]:
    """Volume of the contoured heart in every report."""
    reports = [json.loads(f.read_text()) for f in folder.glob("*/assessment.json")]
    return sorted(r["heart"]["contoured"]["volume_ml"] for r in reports)


def test_other_content_under_an_old_uid_is_checked_again_and_both_results_are_kept(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = write_box(tmp_path / "plan")
    folder = node.inbox.folder / Inbox.folder_name("P1")
    receive(node, folder, plan)
    assert len(node.outbox.waiting()) == 1
    with caplog.at_level(logging.WARNING, logger="rtqc.node"):
        receive(node, folder, plan)
    # The same once more is nothing new.
    assert len(node.outbox.waiting()) == 1
    assert "other content" not in caplog.text
    changed(plan / "RTSTRUCT.dcm", plan / "RTSTRUCT.dcm", without_contours)
    node.outbox.send_due()
    with caplog.at_level(logging.WARNING, logger="rtqc.node"):
        receive(node, folder, plan)
    assert len(node.outbox.waiting()) == 1
    assert len(list((tmp_path / "state" / "sent").iterdir())) == 1
    assert "came again with other content under the same SOP Instance UID" in caplog.text
    assert "RTSTRUCT 2.25." in caplog.text
    assert "RTDOSE" not in caplog.text
    assert volumes(tmp_path / "reports") == pytest.approx([108.0, 226.8], rel=1e-3)


def test_the_first_content_come_back_is_known(node: Node, tmp_path: Path) -> None:
    plan = write_box(tmp_path / "plan")
    folder = node.inbox.folder / Inbox.folder_name("P1")
    receive(node, folder, plan)
    first = (plan / "RTSTRUCT.dcm").read_bytes()
    changed(plan / "RTSTRUCT.dcm", plan / "RTSTRUCT.dcm", without_contours)
    receive(node, folder, plan)
    (plan / "RTSTRUCT.dcm").write_bytes(first)
    receive(node, folder, plan)
    assert len(node.outbox.waiting()) == 2


def test_names_of_cases_tell_objects_and_content() -> None:
    one, other = case_name("objects", {"1.2": "a", "1.3": "b"}), case_name("objects", {"1.2": "a", "1.3": "c"})
    assert one == case_name("objects", {"1.3": "b", "1.2": "a"})
    assert one != other
    assert short_name(one) != short_name(other)


def test_an_export_of_a_name_that_was_there_before_keeps_the_results_of_the_first(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    watcher = Watcher(
        watched, options=Options(device="cpu", second_check=False), quiet_seconds=0.0, settle_seconds=0.0, dicom=False
    )
    for change in (None, without_contours):
        plan = write_box(watched / "EXPORT")
        if change is not None:
            changed(plan / "RTSTRUCT.dcm", plan / "RTSTRUCT.dcm", change)
        watcher.look(0.0)
        watcher.look(10.0)
    assert {f.name for f in (watched / "results").iterdir()} == {"EXPORT", "EXPORT-2"}
    assert volumes(watched / "results") == pytest.approx([108.0, 226.8], rel=1e-3)
