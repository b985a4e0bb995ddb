"""What a whole cohort says: the study that rtqc grew out of, and how small an error is still found."""

from rtqc.nightly.cohort.detection import Detection, DetectionRow, Trial, run_detection
from rtqc.nightly.cohort.study import CohortStudy, study_of

__all__ = ["CohortStudy", "Detection", "DetectionRow", "Trial", "run_detection", "study_of"]
