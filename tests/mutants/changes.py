"""What one node of a source file becomes, one wrong change at a time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

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


def changes(node: ast.AST) -> Iterator[str]:  # noqa: PLR0912
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
    elif isinstance(value, str) and exchanged(value) != value:
        yield repr(exchanged(value))


def exchanged(text: str) -> str:
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


def name_of(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _other_calls(node: ast.Call) -> Iterator[str]:
    name = name_of(node)
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
            fields: dict[str, Any] = dict(ast.iter_fields(node))
            fields["generators"] = [*node.generators[:k], changed, *node.generators[k + 1 :]]
            yield _text(type(node)(**fields))
