"""Export a plan and check it, in the style of RayStation's scripting: inside, ``connect`` comes from the planning system.

Outside of a planning system it takes a folder that was exported already: ``python check_after_export.py EXPORT_FOLDER``.
The check is a process of its own, so that the planning system's Python needs nothing of rtqc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

RTQC = os.environ.get("RTQC", "rtqc")


def export_with_planning_system(folder: str) -> None:
    """RayStation's own export of the current plan; a planning system's API is not ours, so this is where a clinic adapts the script."""
    from connect import get_current  # type: ignore[import-not-found]

    case, beam_set = get_current("Case"), get_current("BeamSet")
    examination = beam_set.GetPlanningExamination()
    case.ScriptableDicomExport(
        ExportFolderPath=folder,
        Examinations=[examination.Name],
        RtStructureSetsForExaminations=[examination.Name],
        BeamSets=[beam_set.BeamSetIdentifier()],
        PhysicalBeamSetDoseForBeamSets=[beam_set.BeamSetIdentifier()],
    )


def check(folder: str, reports: str) -> tuple[int, list[str]]:
    """Exit status of rtqc and a line for each plan."""
    command = [RTQC, "check", folder, "--json", "--out", reports, "--force"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if not done.stdout:
        return 2, [done.stderr.strip() or "rtqc said nothing"]
    result = json.loads(done.stdout)
    cases = result.get("cases", [result])
    return done.returncode, [f"{c['case']['patient_id']}: {c['verdict']}. {c['headline']}" for c in cases]


def main() -> int:
    """Export where there is a planning system, check, and say whether the plan may go on."""
    if len(sys.argv) > 1:
        folder = sys.argv[1]
    else:
        folder = tempfile.mkdtemp(prefix="rtqc-export-")
        export_with_planning_system(folder)
    status, lines = check(folder, folder.rstrip("/\\") + "-rtqc")
    print("\n".join(lines))
    print(
        {0: "The plan may go on.", 1: "STOP: somebody must look at this plan."}.get(
            status, "STOP: the plan could not be assessed."
        )
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
