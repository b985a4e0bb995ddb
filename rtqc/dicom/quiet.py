"""Libraries that read files warn about them in their own words: with paths of the installation, for each of hundreds of slices.

What matters to a physicist is a finding; their warnings reach nobody, neither at the command line nor in a program that imports rtqc.
"""

from __future__ import annotations

import logging
import warnings

#: Libraries that read files for rtqc, and where some say that the warning came from. Their warnings carry the module that warned, which is what filters go by.
READERS = (
    r"rtqc\.dicom",
    "pydicom",
    "highdicom",
    "pynetdicom",
    "pylibjpeg",
    "openjpeg",
    "libjpeg",
    "rle",
    "nibabel",
    "nrrd",
    "dicompylercore",
)


def silence_readers() -> None:
    """Let the warnings of libraries that read files end here, for every command and for whoever imports rtqc.

    Filters of the host program that were set before stay behind these; its own warnings are not touched. Called once, when :mod:`rtqc.dicom` is
    imported; called again, it puts the filters back in front.
    """
    for name in READERS:
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    # What pydicom warns of it logs as well; a host that configures the root logger would print that.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
