"""A changed source file put in force in this process: into the functions that are there, or by importing everything anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, FunctionType, ModuleType

from tests.mutants.rooms import ROOT


def module_name(file: str) -> str:
    """``rtqc.core.grid`` of ``rtqc/core/grid.py``."""
    return file.removesuffix(".py").replace("/", ".")


def put_into_function(file: str, within: str, source: str) -> bool:
    """Give a function of an imported module, and so all who have it by name, the code that the changed source has for it.

    Args:
        file: path from the root.
        within: dotted name of the function, or of what is inside it.
        source: the changed file.

    Returns:
        Whether it could be done: it cannot for what runs when the module is imported.
    """
    code: CodeType | None = compile(source, str(ROOT / file), "exec")
    target: object = sys.modules[module_name(file)]
    for name in within.split("."):
        code = next((c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name), None) if code else None
        if isinstance(target, FunctionType) or code is None:
            break
        target = _plain(vars(target).get(name) if isinstance(target, type | ModuleType) else None)
        if isinstance(target, FunctionType):
            if len(target.__code__.co_freevars) != len(code.co_freevars):
                return False
            target.__code__ = code
            return True
    return False


def _plain(found: object) -> object:
    """The function behind a property, a class method or a cache."""
    for name in ("fget", "func", "__func__", "__wrapped__"):
        if isinstance(found, FunctionType):
            break
        if isinstance(found, property | cached_property | classmethod | staticmethod) or name == "__wrapped__":
            found = getattr(found, name, found)
    return found if isinstance(found, FunctionType | type) else None


class _Changed(SourceFileLoader):
    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """What the changed source says; nothing is read or cached."""
        return compile(self._source, self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, file: str, source: str) -> None:
        self._name, self._path, self._source = module_name(file), str(ROOT / file), source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The changed module's."""
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._path, loader=_Changed(fullname, self._path, self._source))


def import_anew(file: str, source: str) -> None:
    """Forget everything of ours that is imported; from now on the changed source is what is imported in the file's place."""
    for name in list(_ours()):
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(file, source))


def _ours() -> Iterator[str]:
    return (
        name for name in list(sys.modules) if name.split(".")[0] in ("rtqc", "tests") and not name.startswith("tests.mutants")
    )
