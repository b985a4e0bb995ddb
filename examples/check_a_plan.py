"""Check one plan from Python: what a script of a clinic would do.

python examples/check_a_plan.py EXPORT/
"""

import sys

import rtqc


def main(folder: str) -> int:
    """Print the headline and the findings; 0 pass, 1 flagged, 2 no verdict."""
    assessment = rtqc.assess(rtqc.read_case(folder))
    print(assessment.headline)
    for finding in assessment.findings:
        print(f"{finding.severity}: {finding.message}")
    return {"pass": 0, "flag": 1, "error": 2}[assessment.verdict]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
