"""Small faults of a module, one at a time: what a slip of a hand would leave of a formula.

Each fault changes one place of the syntax tree: an operator, a comparison, a constant, a term, a bound of a slice, a
condition, a branch, a step of a loop, or a function that has a likely twin (min for max). Left alone are texts,
annotations, decorators, messages of errors and logs, what notebooks show, and constants below a millionth, which guard
against rounding.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

Change = Callable[[ast.AST], ast.AST | None]
"""A changed copy of a node; None: this node has no such fault."""

_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
_BOUNDS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_TWINS = {"min": "max", "argmin": "argmax", "minimum": "maximum", "any": "all", "floor": "ceil", "zeros": "ones",
          "log": "log1p"}  # fmt: skip
_TWINS |= {twin: name for name, twin in _TWINS.items()}
_WITHOUT = {"abs", "sqrt", "square", "sum", "accumulate", "cumsum", "clip", "unique", "sort", "sorted", "fsum"}
"""Functions that are left out, so that their argument stands in their place."""
_FOR_EYES = {"__repr__", "_repr_html_"}
_SPEAKING = {"debug", "info", "warning", "say", "note"}
_SMALLEST = 1e-6


Place = tuple[tuple[str, int | None], ...]
"""The way from a module to a node: the field of each node on it, and the number in that field's list."""


class Mutant(NamedTuple):
    """A module with one fault."""

    line: int
    fault: str
    """The place as it is and as it becomes."""
    source: str
    """The module as it is."""
    place: Place
    changed: ast.AST
    """What stands there in place of what did."""

    def tree(self) -> ast.Module:
        """The module with its fault."""
        tree = ast.parse(self.source)
        node: ast.AST = tree
        for name, number in self.place[:-1]:
            value = getattr(node, name)
            node = value if number is None else value[number]
        name, number = self.place[-1]
        if number is None:
            setattr(node, name, self.changed)
        else:
            getattr(node, name)[number] = self.changed
        return ast.fix_missing_locations(tree)


def mutants(source: str) -> Iterator[Mutant]:
    """Every fault of a module's source, in the order of its lines."""
    places = sorted(_places(ast.parse(source)), key=lambda place: (place[1].lineno, place[1].col_offset))
    for place, node in places:
        was = _said(node)
        for change in CHANGES:
            changed = change(copy.deepcopy(node))
            if changed is not None and _said(changed) != was:
                yield Mutant(node.lineno, f"{_short(was)} → {_short(_said(changed))}", source, place, changed)


def _said(node: ast.AST) -> str:
    """A node on one line; of a statement with a body, its head."""
    return " ".join(ast.unparse(node).partition("\n")[0].split())


def _short(code: str) -> str:
    return code if len(code) <= 90 else f"{code[:60]} … {code[-27:]}"


def _places(tree: ast.Module) -> Iterator[tuple[Place, ast.expr | ast.stmt]]:
    """Expressions and statements that can have a fault, each with the way to it."""

    def below(node: ast.AST, path: Place) -> Iterator[tuple[Place, ast.expr | ast.stmt]]:
        for name, value in ast.iter_fields(node):
            for number, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST) and not _is_left_alone(name, child):
                    way = (*path, (name, number))
                    if isinstance(child, ast.expr | ast.stmt):
                        yield way, child
                    yield from below(child, way)

    return below(tree, ())


def _is_left_alone(name: str, child: ast.AST) -> bool:
    if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
        return True
    if isinstance(child, ast.keyword):
        return child.arg in ("strict", "copy", "dtype", "cache", "nogil", "frozen", "kw_only")
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
        function = child.value.func
        return isinstance(function, ast.Attribute) and function.attr in _SPEAKING
    if isinstance(child, ast.FunctionDef) and child.name in _FOR_EYES:
        return True
    return isinstance(child, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert)


# --- the faults -----------------------------------------------------------------------------------


def _operator(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in _OPERATORS:
        return None
    node.op = _OPERATORS[type(node.op)]()
    return node


def _dropped_term(node: ast.AST) -> ast.AST | None:
    return node.left if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS else None


def _comparison(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Compare):
        return None
    node.ops[0] = _BOUNDS[type(node.ops[0])]()
    return node


def _either(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.BoolOp):
        return None
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _sign(node: ast.AST) -> ast.AST | None:
    return node.operand if isinstance(node, ast.UnaryOp) else None


def _constant(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool | int | float):
        return None
    if isinstance(node.value, bool):
        return ast.copy_location(ast.Constant(not node.value), node)
    if isinstance(node.value, float) and abs(node.value) < _SMALLEST and node.value:
        return None
    return ast.copy_location(ast.Constant(node.value + 1), node)


def _twin(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Attribute) and node.attr in _TWINS:
        node.attr = _TWINS[node.attr]
        return node
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _TWINS:
        node.id = _TWINS[node.id]
        return node
    return None


def _without_function(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name) and node.func.id in _WITHOUT and node.args:
        return node.args[0]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _WITHOUT:
        is_numpys = isinstance(node.func.value, ast.Name | ast.Attribute) and node.args
        return node.args[0] if is_numpys else node.func.value
    return None


def _bound(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        if node.slice.upper is not None:
            node.slice.upper = None
            return node
        if node.slice.lower is not None:
            node.slice.lower = None
            return node
    return None


def _branch(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.IfExp):
        node.body, node.orelse = node.orelse, node.body
        return node
    if isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return node
    return None


def _skipped(node: ast.AST) -> ast.AST | None:
    """A step left out, or an early end."""
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return ast.copy_location(ast.Pass(), node)
    if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], ast.Return):
        return ast.copy_location(ast.Pass(), node) if not node.orelse else None
    if isinstance(node, ast.Continue | ast.Break):
        return ast.copy_location(ast.Pass(), node)
    return None


CHANGES: tuple[Change, ...] = (
    _operator, _dropped_term, _comparison, _either, _sign, _constant, _twin, _without_function, _bound, _branch,
    _skipped,
)  # fmt: skip
