"""Small wrong changes of a source file, each as another text: operators, signs, axes, limits, words, forgotten calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.tables import COMMUTATIVE, DROPPABLE, FUNCTIONS, HOW, NAMES, WORDS

_ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult(), ast.FloorDiv: ast.Div(), ast.Mod: ast.Mult(),
    ast.Pow: ast.Mult(), ast.BitAnd: ast.BitOr(), ast.BitOr: ast.BitAnd(), ast.BitXor: ast.BitAnd(),
}  # fmt: skip
_LIMITS: dict[type[ast.cmpop], ast.cmpop] = {ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt()}
_OPPOSITE: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.Gt(), ast.LtE: ast.GtE(), ast.Gt: ast.Lt(), ast.GtE: ast.LtE(), ast.Eq: ast.NotEq(), ast.NotEq: ast.Eq(),
    ast.In: ast.NotIn(), ast.NotIn: ast.In(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(),
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]+")


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
        mutant = Mutant(file, place.within, node.lineno, lines[node.lineno - 1].strip(), one_line, text, 0, _lines_of(node.lineno, spans), changed)  # type: ignore[attr-defined]
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
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        inner = f"{within}.{node.name}".strip(".")
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                yield from _places(statement, inner)
            return
        arguments = node.args
        for default in (*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)):
            yield from _places(default, within)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {a.arg for a in ast.walk(arguments) if isinstance(a, ast.arg)}
        for statement in node.body:
            for place in _places(statement, inner):
                yield from _known(place, names)
        return
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Raise | ast.Global | ast.Nonlocal | ast.Delete):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Assign | ast.AnnAssign) and _is_declaration(node):
        return
    for text in _changes(node):
        yield _Place(node, within, text)
    for condition in _conditions(node):
        yield _Place(condition, within, f"(not {ast.unparse(condition)})")
    if isinstance(node, ast.JoinedStr):
        yield from _places_of_text(node, within)
        return
    if isinstance(node, ast.keyword) and node.arg in HOW:
        return
    for name, value in ast.iter_fields(node):
        if name == "args" and isinstance(node, ast.Call) and _name_of(node) == "round":
            value = value[:1]  # How many digits a number has is no mistake that a user would suffer from.
        if name in ("annotation", "returns", "decorator_list", "type_comment") or (isinstance(node, ast.ExceptHandler) and name == "type"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _places(child, within)


def _is_declaration(node: ast.Assign | ast.AnnAssign) -> bool:
    """Names for types and lists of exports: nothing that a user gets."""
    if node.value is None:
        return True
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    called = node.value.func if isinstance(node.value, ast.Call) else None
    alias = isinstance(node.value, ast.Subscript) and isinstance(node.value.value, ast.Name) and node.value.value.id[:1].isupper()
    return alias or any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets) or (isinstance(called, ast.Name) and called.id == "TypeVar")


def _known(place: _Place, names: set[str]) -> Iterator[_Place]:
    """Names are exchanged only for one that the function has."""
    if isinstance(place.node, ast.Name) and place.text not in names:
        return
    yield place


def _places_of_text(node: ast.JoinedStr, within: str) -> Iterator[_Place]:
    """Words and values of an f-string: the whole is written anew, because its parts have no place of their own before Python 3.12."""
    for k, part in enumerate(node.values):
        if isinstance(part, ast.Constant):
            changed = [ast.Constant(_exchanged(part.value))] if _exchanged(part.value) != part.value else []
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


def _changes(node: ast.AST) -> Iterator[str]:  # noqa: PLR0912
    """What a node becomes, one wrong change at a time."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in _ARITHMETIC:
                yield _text(ast.BinOp(left, _ARITHMETIC[type(op)], right))
            if isinstance(op, ast.Sub | ast.Div | ast.MatMult):
                yield _text(ast.BinOp(right, op, left))
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield _text(operand)
        case ast.Compare(left, [op], [right]):
            for table in (_LIMITS, _OPPOSITE):
                if type(op) in table:
                    yield _text(ast.Compare(left, [table[type(op)]], [right]))
        case ast.Compare(left, ops, right):
            for k, op in enumerate(ops):
                if type(op) in _LIMITS:
                    yield _text(ast.Compare(left, [*ops[:k], _LIMITS[type(op)], *ops[k + 1 :]], right))
        case ast.BoolOp(op, values):
            yield _text(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
            for k in range(len(values)):
                rest = [*values[:k], *values[k + 1 :]]
                yield _text(rest[0] if len(rest) == 1 else ast.BoolOp(op, rest))
        case ast.Constant(value):
            yield from _other_constants(value)
        case ast.Name(name, ast.Load()) if name in NAMES:
            yield NAMES[name]
        case ast.Attribute(value, "T", ast.Load()):
            yield _text(value)
        case ast.Attribute(value, name, ast.Load()) if name in NAMES:
            yield _text(ast.Attribute(value, NAMES[name]))
        case ast.Subscript(value, index, ast.Load()):
            yield from (_text(ast.Subscript(value, new)) for new in _other_indices(index))
        case ast.Call():
            yield from _other_calls(node)
        case ast.IfExp(test, body, orelse) if not isinstance(test, ast.Compare):
            yield _text(ast.IfExp(test, orelse, body))
        case ast.Tuple([one, other], ast.Load()) if ast.dump(one) != ast.dump(other) and not isinstance(one, ast.Slice):
            yield _text(ast.Tuple([other, one], ast.Load()))
        case ast.AugAssign(target, op, value):
            if type(op) in _ARITHMETIC:
                yield _text(ast.AugAssign(target, _ARITHMETIC[type(op)], value))
            yield "pass"
        case ast.Expr(ast.Call()):
            yield "pass"
        case ast.Return(value) if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            yield "return None"
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from _without_conditions(node)


def _text(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(node))
    # Where it stands, another operator may bind more strongly.
    return f"({text})" if isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.UnaryOp | ast.Tuple) else text


def _other_constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int):
        yield repr(1 - value if value in (0, 1) else value + 1)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)
    elif isinstance(value, str) and _exchanged(value) != value:
        yield repr(_exchanged(value))


def _exchanged(text: str) -> str:
    """Each word of direction or size by its opposite."""
    return _WORD.sub(lambda m: WORDS.get(m[0], m[0]), text)


def _other_indices(index: ast.expr) -> Iterator[ast.expr]:
    match index:
        case ast.Slice(None, None, ast.UnaryOp(ast.USub(), _)):
            yield ast.Slice()
        case ast.Slice(ast.Constant(n), None, None) if isinstance(n, int):
            yield ast.Slice(upper=ast.UnaryOp(ast.USub(), ast.Constant(n)))
        case ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(n)), None):
            yield ast.Slice(lower=ast.Constant(n))
        case ast.UnaryOp(ast.USub(), ast.Constant(1)):
            yield ast.Constant(0)
        case ast.Tuple(parts):
            for k, part in enumerate(parts):
                for new in _other_indices(part):
                    yield ast.Tuple([*parts[:k], new, *parts[k + 1 :]], ast.Load())
            if len(parts) == 2 and ast.dump(parts[0]) != ast.dump(parts[1]):
                yield ast.Tuple(parts[::-1], ast.Load())


def _name_of(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _other_calls(node: ast.Call) -> Iterator[str]:
    name = _name_of(node)
    if name in FUNCTIONS:
        other = FUNCTIONS[name]
        func = ast.Attribute(node.func.value, other) if isinstance(node.func, ast.Attribute) else ast.Name(other)
        yield _text(ast.Call(func, node.args, node.keywords))
    plain = [a for a in node.args if not isinstance(a, ast.Starred)]
    if name in DROPPABLE and plain and plain[0] is node.args[0] and not isinstance(plain[0], ast.GeneratorExp):
        yield _text(plain[0])
    for k in range(len(plain) - 1):
        if plain == node.args and name not in COMMUTATIVE and name != "round" and ast.dump(plain[k]) != ast.dump(plain[k + 1]):
            yield _text(ast.Call(node.func, [*plain[:k], plain[k + 1], plain[k], *plain[k + 2 :]], node.keywords))
    for k, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in HOW:
            yield _text(ast.Call(node.func, node.args, [*node.keywords[:k], *node.keywords[k + 1 :]]))


def _without_conditions(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Iterator[str]:
    for k, generator in enumerate(node.generators):
        for c in range(len(generator.ifs)):
            ifs = [*generator.ifs[:c], *generator.ifs[c + 1 :]]
            changed = ast.comprehension(generator.target, generator.iter, ifs, generator.is_async)
            fields = {name: value for name, value in ast.iter_fields(node)}
            fields["generators"] = [*node.generators[:k], changed, *node.generators[k + 1 :]]
            yield _text(type(node)(**fields))
