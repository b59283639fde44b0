"""The modules of the product as syntax trees: what each imports, and what its functions are."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("populace", "tasks", "flows", "demo")


class Import(NamedTuple):
    """One imported name, in full, and whether that happens inside a function."""

    name: str
    line: int
    is_inside_function: bool


@dataclass(frozen=True)
class Module:
    """One Python file: its dotted name, its text, and whether it is a package's `__init__`."""

    name: str
    source: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return parsed(self.source)

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]


parsed = functools.cache(ast.parse)


def modules() -> list[Module]:
    """Every module of the product, in order of its name."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package))
    return found


def imports(module: Module) -> Iterator[Import]:
    """What a module imports anywhere, `importlib.import_module("…")` with a literal name included."""

    def visit(node: ast.AST, *, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                kept = module.package.split(".")[: len(module.package.split(".")) - node.level + 1]
                origin = ".".join([*kept, origin] if origin else kept)
            yield from (Import(f"{origin}.{alias.name}", node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
            names = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
            yield from (Import(str(name), node.lineno, inside) for name in names)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside=inside or is_function)

    return visit(module.tree, inside=False)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression, else what can be said of it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def decorated(module: Module, decorator: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions under `@flow`, `@flow(…)` or `@prefect.flow(…)`; likewise `@task`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
            if any(dotted(call) in {decorator, f"prefect.{decorator}"} for call in calls):
                yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body, comments and blank lines included, its docstring not."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0
