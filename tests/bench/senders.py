"""Several senders at once while the node checks: how long each of them waits for an answer, and who loses an association.

``python -m tests.bench.senders [PLANS] [SENDERS]`` prints a line.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom

from rtqc.dicom import Peer, PeerError
from rtqc.dicom.send import association
from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan
from tests.peers import free_port, listens, wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def send(peer: Peer, folder: Path, waited: list[float]) -> bool:
    """Send a plan in one association; whether it was kept."""
    files = sorted(folder.glob("*.dcm"))
    pairs = {
        (str(m.MediaStorageSOPClassUID), str(m.TransferSyntaxUID)): None
        for m in (pydicom.dcmread(f, stop_before_pixels=True).file_meta for f in files)
    }
    try:
        with association(peer, list(pairs)) as assoc:
            for file in files:
                began = time.monotonic()
                status = assoc.send_c_store(pydicom.dcmread(file))
                waited.append(time.monotonic() - began)
                if not status or status.Status != 0:
                    return False
    except PeerError:
        return False
    return True


def another(folder: Path, target: Path, number: int) -> Path:
    """The same plan of another patient, with UIDs of its own."""
    target.mkdir()
    for file in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        for data in (dataset, dataset.file_meta):
            for element in data.iterall():
                if element.VR == "UI" and str(element.value).startswith("2.25."):
                    element.value = f"{element.value}.{number + 1}"
        dataset.PatientID = f"P{number}"
        dataset.save_as(target / file.name)
    return target


def main() -> None:
    """Measure and print."""
    plans = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    senders = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    scratch = Path(tempfile.mkdtemp(prefix="rtqc-senders-"))
    try:
        first = write_plan(synthetic_plan(Anatomy(), Resolution(pixels=128, slice_mm=4.0)), scratch / "first")
        folders = [another(first, scratch / f"plan{k}", k) for k in range(plans)]
        port = free_port()
        (scratch / "node.toml").write_text(
            f'state = "state"\nanybody = true\nport = {port}\ndevice = "cpu"\nleast_free_mib = 0\nmost_associations = {senders}\n'
        )
        log = (scratch / "log").open("wb")
        node = subprocess.Popen([sys.executable, "-m", "rtqc", "node", str(scratch / "node.toml")], stderr=log)
        wait_for(lambda: listens(port), 60)
        waited: list[float] = []
        began = time.monotonic()
        with ThreadPoolExecutor(senders) as pool:
            kept = list(pool.map(lambda f: send(Peer("RTQC", "127.0.0.1", port, "TPS"), f, waited), folders))
        seconds = time.monotonic() - began
        checked = len(list((scratch / "state").glob("sent/*"))) + len(list((scratch / "state").glob("outbox/*")))
        node.kill()
        waited.sort()
        print(
            f"{plans} plans, {senders} senders: {len(kept) - sum(kept)} lost their association; {len(waited)} objects in {seconds:.0f} s, "
            f"median {1000 * waited[len(waited) // 2]:.0f} ms, longest {waited[-1]:.1f} s; {checked} plans checked meanwhile"
        )
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
