"""Draw the heart on a CT, compare it with the contour, and write it for the planning system.

python examples/draft_and_compare.py EXPORT/ heart.dcm
"""

import sys

import rtqc


def main(folder: str, target: str) -> None:
    """Print how draft and contour agree; write the draft."""
    case = rtqc.read_case(folder)
    draft = rtqc.draft_heart(case.image)
    agreement = rtqc.compare(case.structures["Heart"], draft.structure)
    print(f"Dice {agreement.dice:.3f}, HD95 {agreement.hausdorff95_mm:.1f} mm, {agreement.volume_difference_ml:+.0f} ml")
    print(rtqc.write_rtstruct(draft, case, target))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
