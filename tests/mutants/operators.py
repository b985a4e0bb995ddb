"""Small wrong changes of a source file, each as another text: operators, signs, axes, limits, words, forgotten calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.changes import changes, exchanged, name_of
from tests.mutants.tables import HOW


@dataclass(frozen=True)
class Mutant:
    """A wrong change of one place.

    Attributes:
        file: path from the repository's root.
        within: dotted name of the function or class that the place is in; empty: of the module.
        line: number of its first line.
        text: that line, without the blanks around it.
        old, new: what stands there, and what instead; one line each.
        number: which of several equal changes on the line it is.
        lines: those of the statement that it stands in: who runs any of them may notice.
        source: the whole file, changed.
    """

    file: str
    within: str
    line: int
    text: str
    old: str
    new: str
    number: int
    lines: range
    source: str

    @property
    def key(self) -> str:
        """What it is known by when lines move."""
        again = f" #{self.number}" if self.number else ""
        return f"{self.file} {self.within or '-'} | {self.text} | {self.old} -> {self.new}{again}"


@dataclass(frozen=True)
class _Place:
    node: ast.AST
    within: str
    text: str


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All wrong changes of a file, in the order of its lines; none of docstrings, annotations, imports, assertions and what an error says."""
    tree = ast.parse(source)
    lines = source.splitlines()
    spans = list(_spans(tree))
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    raw = source.encode()
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for place in _places(tree, ""):
        node = place.node
        begin = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        old = raw[begin:end].decode()
        text = place.text.replace("\n", " ")
        if text == old:
            continue
        changed = (raw[:begin] + place.text.encode() + raw[end:]).decode()
        try:
            compile(changed, file, "exec")
        except SyntaxError:
            continue
        one_line = " ".join(old.split())
        mutant = Mutant(
            file,
            place.within,
            node.lineno,
            lines[node.lineno - 1].strip(),
            one_line,
            text,
            0,
            _lines_of(node.lineno, spans),
            changed,
        )  # type: ignore[attr-defined]
        number = seen.get(mutant.key, 0)
        seen[mutant.key] = number + 1
        found.append(Mutant(**{**vars(mutant), "number": number}))
    return sorted(found, key=lambda m: m.line)


def _spans(tree: ast.AST) -> Iterator[range]:
    """Lines of every statement; of one that holds others, of its head."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(body[0].lineno - 1, node.lineno) if isinstance(body, list) and body else (node.end_lineno or node.lineno)
            yield range(node.lineno, end + 1)


def _lines_of(line: int, spans: list[range]) -> range:
    return min((s for s in spans if line in s), key=len, default=range(line, line + 1))


def _places(node: ast.AST, within: str) -> Iterator[_Place]:
    """Every node that may be changed, with what it becomes."""
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            yield from _places(statement, f"{within}.{node.name}".strip("."))
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _places_of_function(node, within)
        return
    if _is_none_of_ours(node):
        return
    for text in changes(node):
        yield _Place(node, within, text)
    for condition in _conditions(node):
        yield _Place(condition, within, f"(not {ast.unparse(condition)})")
    if isinstance(node, ast.JoinedStr):
        yield from _places_of_text(node, within)
        return
    for child in _children(node):
        yield from _places(child, within)


def _places_of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, within: str) -> Iterator[_Place]:
    """Its defaults, which run where it is defined, and its statements."""
    arguments = node.args
    for default in (*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)):
        yield from _places(default, within)
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        a.arg for a in ast.walk(arguments) if isinstance(a, ast.arg)
    }
    for statement in node.body:
        for place in _places(statement, f"{within}.{node.name}".strip(".")):
            yield from _known(place, names)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What a node is made of, without types and without what only says how something is computed."""
    if isinstance(node, ast.keyword) and node.arg in HOW:
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or (isinstance(node, ast.ExceptHandler) and name == "type"):
            continue
        children = value if isinstance(value, list) else [value]
        if name == "args" and isinstance(node, ast.Call) and name_of(node) == "round":
            children = children[:1]  # How many digits a number has is no mistake that a user would suffer from.
        yield from (child for child in children if isinstance(child, ast.AST))


def _is_none_of_ours(node: ast.AST) -> bool:
    """What no user gets: imports, docstrings, what is asserted, what an error says, types."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Raise | ast.Global | ast.Nonlocal | ast.Delete):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.Assign | ast.AnnAssign) and _is_declaration(node)


def _is_declaration(node: ast.Assign | ast.AnnAssign) -> bool:
    """Names for types and lists of exports: nothing that a user gets."""
    if node.value is None:
        return True
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    called = node.value.func if isinstance(node.value, ast.Call) else None
    alias = (
        isinstance(node.value, ast.Subscript)
        and isinstance(node.value.value, ast.Name)
        and (node.value.value.id[:1].isupper() or node.value.value.id in ("list", "dict", "tuple", "set"))
    )
    return (
        alias
        or any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets)
        or (isinstance(called, ast.Name) and called.id == "TypeVar")
    )


def _known(place: _Place, names: set[str]) -> Iterator[_Place]:
    """Names are exchanged only for one that the function has."""
    if isinstance(place.node, ast.Name) and place.text.isidentifier() and place.text not in names:
        return
    yield place


def _places_of_text(node: ast.JoinedStr, within: str) -> Iterator[_Place]:
    """Words and values of an f-string: the whole is written anew, because its parts have no place of their own before Python 3.12."""
    for k, part in enumerate(node.values):
        if isinstance(part, ast.Constant):
            changed = [ast.Constant(exchanged(part.value))] if exchanged(part.value) != part.value else []
        elif isinstance(part, ast.FormattedValue):
            changed = [_replaced(part, p.node, ast.parse(p.text, mode="eval").body) for p in _places(part.value, within)]
        else:
            changed = []
        for new in changed:
            values = [*node.values[:k], new, *node.values[k + 1 :]]
            yield _Place(node, within, ast.unparse(ast.JoinedStr(values)))


def _replaced(node: ast.AST, target: ast.AST, new: ast.AST) -> ast.AST:
    """A copy in which one node is another."""
    if node is target:
        return new
    fields: dict[str, object] = {}
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            fields[name] = [_replaced(v, target, new) if isinstance(v, ast.AST) else v for v in value]
        else:
            fields[name] = _replaced(value, target, new) if isinstance(value, ast.AST) else value
    return type(node)(**fields)


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    """Conditions without an operator of their own, to be negated."""
    tests = [node.test] if isinstance(node, ast.If) else node.ifs if isinstance(node, ast.comprehension) else []
    yield from (t for t in tests if isinstance(t, ast.Name | ast.Attribute | ast.Call | ast.Subscript))
