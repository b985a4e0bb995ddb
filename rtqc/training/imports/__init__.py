"""Models that others trained -> model folders that every command accepts."""

from rtqc.training.imports.export import Imported, write_imported
from rtqc.training.imports.monai_bundle import find_bundle, read_bundle
from rtqc.training.imports.nnunet import find_results, read_results

__all__ = ["Imported", "find_bundle", "find_results", "read_bundle", "read_results", "write_imported"]
