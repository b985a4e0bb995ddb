"""Files against the standard's own tables (PS3.3), as highdicom ships them: what must be there, and what may be."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

#: Attributes that any dataset may hold: file meta is apart, these are of the encoding (SOP Common and the like).
_ANYWHERE = {"SpecificCharacterSet"}


def violations(dataset: Dataset) -> list[str]:
    """Required attributes that are absent or empty, and attributes that the object's modules do not have.

    Conditions of types 1C and 2C are not known to the tables: they are not looked at, but a 1C that is there must have a value.
    """
    iod = get_sop_class_iod_map()[str(dataset.SOPClassUID)]
    attributes = get_module_attribute_map()
    known: dict[tuple[str, ...], set[str]] = {}
    required: dict[tuple[str, ...], dict[str, str]] = {}
    for module in get_iod_module_map()[iod]:
        entries = attributes[module["key"]]
        present = module["usage"] == "M" or any(
            not e["path"] and e["type"] in "12" and tag_for_keyword(e["keyword"]) and e["keyword"] in dataset for e in entries
        )
        for entry in entries:
            path = tuple(entry["path"])
            known.setdefault(path, set()).add(entry["keyword"])
            if present:
                strict = required.setdefault(path, {})
                # Of two modules that share an attribute the stricter decides.
                strict[entry["keyword"]] = min(strict.get(entry["keyword"], "3"), entry["type"])
    return list(_walk(dataset, (), known, required))


def _walk(
    dataset: Dataset,
    path: tuple[str, ...],
    known: dict[tuple[str, ...], set[str]],
    required: dict[tuple[str, ...], dict[str, str]],
) -> Iterator[str]:
    where = " > ".join(path) or "top"
    for keyword, kind in required.get(path, {}).items():
        if kind in ("1", "2") and keyword not in dataset:
            yield f"{where}: {keyword} (type {kind}) is absent"
        elif kind in ("1", "1C") and keyword in dataset and dataset[keyword].is_empty:
            yield f"{where}: {keyword} (type {kind}) is empty"
    for element in dataset:
        if element.tag.is_private:
            continue
        if element.keyword not in known.get(path, set()) | _ANYWHERE:
            yield f"{where}: {element.keyword or element.tag} is not of this object"
        elif element.VR == "SQ":
            for item in element.value:
                yield from _walk(item, (*path, element.keyword), known, required)
