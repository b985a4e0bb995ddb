"""Files in and out: the only room that knows pydicom.

``read_case`` and ``read_cases`` turn a folder of any shape into :class:`rtqc.core.Case`; ``write_rtstruct`` turns a
structure back into a file that planning systems import.
"""

from rtqc.dicom.archive import Archive, Fetched, PartlyFetchedError, fetch_plans
from rtqc.dicom.belonging import findings_beside, findings_of_nobody, name_for, patient_key
from rtqc.dicom.compatibility import has_absolute_offsets, pydicom_with_read_file
from rtqc.dicom.completeness import fingerprint, is_complete
from rtqc.dicom.content import byte_digest, content_digest
from rtqc.dicom.decoder import plain_object
from rtqc.dicom.index import Header, Index, Memory, Scanned, index_folder
from rtqc.dicom.notes import READING_RULES, note
from rtqc.dicom.objects import AlreadyThereError, DrawnBy
from rtqc.dicom.parts import Parts, plan_cases, stray_doses
from rtqc.dicom.peer import Peer, PeerError, Tls
from rtqc.dicom.query import DimseArchive
from rtqc.dicom.quiet import silence_readers
from rtqc.dicom.read_acquisition import read_acquisition
from rtqc.dicom.read_case import DEFAULT_SLICE_MM, load_case, read_case, read_cases
from rtqc.dicom.read_ct import read_series
from rtqc.dicom.read_structures import (
    StructureSet,
    StructureSetError,
    read_structure_set,
    structure_set_of_file,
    structures_by_name,
)
from rtqc.dicom.receive import Caller, Door, Receiver
from rtqc.dicom.rtstruct_items import Writing
from rtqc.dicom.scans import Scan, described, scans_of
from rtqc.dicom.send import echo, store
from rtqc.dicom.split import split_archive
from rtqc.dicom.volume_files import VolumeFileError, is_unplaced, is_volume_file, read_volume, write_volume
from rtqc.dicom.web import WebPeer
from rtqc.dicom.write_pdf import write_pdf
from rtqc.dicom.write_rtstruct import append_rtstruct, write_rtstruct
from rtqc.dicom.write_seg import write_seg
from rtqc.dicom.write_sr import write_sr

silence_readers()

__all__ = [
    "DEFAULT_SLICE_MM",
    "READING_RULES",
    "AlreadyThereError",
    "Archive",
    "Caller",
    "DimseArchive",
    "Door",
    "DrawnBy",
    "Fetched",
    "Header",
    "Index",
    "Memory",
    "PartlyFetchedError",
    "Parts",
    "Peer",
    "PeerError",
    "Receiver",
    "Scan",
    "Scanned",
    "StructureSet",
    "StructureSetError",
    "Tls",
    "VolumeFileError",
    "WebPeer",
    "Writing",
    "append_rtstruct",
    "byte_digest",
    "content_digest",
    "described",
    "echo",
    "fetch_plans",
    "findings_beside",
    "findings_of_nobody",
    "fingerprint",
    "has_absolute_offsets",
    "index_folder",
    "is_complete",
    "is_unplaced",
    "is_volume_file",
    "load_case",
    "name_for",
    "note",
    "patient_key",
    "plain_object",
    "plan_cases",
    "pydicom_with_read_file",
    "read_acquisition",
    "read_case",
    "read_cases",
    "read_series",
    "read_structure_set",
    "read_volume",
    "scans_of",
    "silence_readers",
    "split_archive",
    "store",
    "stray_doses",
    "structure_set_of_file",
    "structures_by_name",
    "write_pdf",
    "write_rtstruct",
    "write_seg",
    "write_sr",
    "write_volume",
]
