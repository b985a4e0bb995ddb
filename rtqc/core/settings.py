"""Settings in TOML files: checked against a model, and a mistyped key names the right one."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class SettingsError(Exception):
    """Settings that cannot be used; the message names the file, the key and what to do."""


def read_toml(path: Path) -> dict[str, Any]:
    """A file's content.

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror or error}") from error


def load_settings(path: Path, model: type[Model]) -> Model:
    """A file as a model.

    Raises:
        SettingsError: it cannot be read, is not TOML, or has an unknown key or a wrong value.
    """
    content = read_toml(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"{path.name}: {explained(error, model)}") from error


def explained(error: ValidationError, model: type[BaseModel], more: Iterable[str] = ()) -> str:
    """What is wrong first, in one sentence.

    Args:
        error: of validating the model.
        model: the outermost one.
        more: further words that may stand at the outermost level.
    """
    # A mistyped key is also a missing one: the mistyped one is what the reader sees in the file.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    place = first["loc"]
    where = ".".join(str(part) for part in place)
    if first["type"] == "literal_error":
        # pydantic lists the words that may stand there, each in quotes.
        allowed = re.findall(r"'([^']*)'", str(first.get("ctx", {}).get("expected", "")))
        return f"'{where}': '{first['input']}' is not one of {', '.join(allowed)}{nearest(str(first['input']), allowed)}"
    if first["type"] != "extra_forbidden":
        return f"'{where}': {first['msg']}"
    known = [*_fields_at(model, place[:-1]), *(more if len(place) == 1 else ())]
    return f"unknown key '{where}'{nearest(str(place[-1]), known)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A question after the nearest known word; empty where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Keys of the model that a place of the outermost one holds; list indices are passed over."""
    for part in place:
        if isinstance(part, str):
            field = model.model_fields.get(part)
            inner = _model_in(field.annotation) if field is not None else None
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
