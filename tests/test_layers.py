"""Who may import whom, and how long things may be: the shape of the code, read from its syntax trees.

`docs/architecture.md` says why the layers are as they are. A new module of the engine needs a line in
`ENGINE`; a module or function over its budget needs a line, with the reason, in `LONG_MODULES` or
`LONG_FUNCTIONS`. Every rule is tested here against a planted violation as well.
"""

import ast
import importlib.machinery
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.syntax import ROOT, Module, body_lines, decorated, dotted, imports, modules, parsed

STDLIB = frozenset(sys.stdlib_module_names)

# --- the table: what each module of the engine may import besides the standard library ----------------------
# Our own modules are named in full, libraries by their first name. `populace` itself (the version) is free to all.

WORDS = frozenset({
    "populace.definitions", "populace.errors", "populace.nodes", "populace.paths", "populace.spelling",
    "populace.viewpoints",
})  # fmt: skip
STAGE = WORDS | {"populace.query", "populace.expressions", "polars"}  # query: a node's fingerprint and its text
COMPOSED = STAGE | {
    "populace.audiences",
    "populace.destinations",
    "populace.events",
    "populace.identity",
    "populace.lake",
    "populace.loading",
    "populace.query",
    "populace.sql",
    "populace.sync",
    "populace.traits",
}
ENGINE = {
    "populace": frozenset(),
    "populace.errors": frozenset(),
    "populace.nodes": frozenset(),
    "populace.paths": frozenset({"populace.nodes"}),
    "populace.spelling": frozenset(),
    "populace.viewpoints": frozenset({"populace.nodes"}),
    "populace.definitions": frozenset({"populace.errors", "populace.nodes"}),
    "populace.query": WORDS | {"lark"},
    # loading checks what each kind of destination asks for, that two spaces share no account of it, and statements
    "populace.loading": WORDS
    | {"populace.query", "populace.destinations", "populace.sql", "yaml", "pydantic", "cronsim"},
    "populace.expressions": WORDS | {"polars", "populace.query"},
    "populace.events": STAGE | {"duckdb", "pyarrow"},
    "populace.identity": STAGE | {"numpy", "scipy"},
    # numpy: counts and sums are made in arrays with a place for each profile
    "populace.traits": STAGE | {"numpy"},
    "populace.audiences": STAGE,
    # numpy: identifiers are paired by walking through sorted numbers
    "populace.sync": STAGE | {"numpy"},
    "populace.destinations": STAGE | {"httpx"},
    # pgparse: the parser of PostgreSQL itself; duckdb: that of statements over the lake, and what runs them
    "populace.sql": STAGE | {"duckdb", "pyarrow", "pgparse"},
    # uuid: names of unfinished files; numpy: the index of messages is sorted arrays, mapped from files
    # expressions: how a number is written as JSON, where columns of several types are united
    "populace.lake": WORDS | {"populace.expressions", "polars", "pyarrow", "boto3", "botocore", "uuid", "numpy"},
    # the archive's containers are opened here: Parquet a few pages at a time, lines as one buffer and its offsets
    # cronsim: which instant of a schedule was the last
    "populace.space": COMPOSED | {"pyarrow", "numpy", "isal", "cronsim"},
    "populace.cli": COMPOSED | {"populace.space", "click", "rich"},
}
COMMAND_LINE = "populace.cli"
MEMORY = "populace"  # says how polars keeps memory, which can only be said by the environment
REACHED_UP_TO = frozenset({"flows", "tasks", "demo"})  # by the command line, inside functions
OUTSIDE_WORLD = frozenset(
    {"http.client", "logging", "random", "secrets", "socket", "ssl", "subprocess", "time", "urllib.request", "uuid"}
)  # what the engine has no business with in the standard library: clock, network, chance, logging
SEEN_BY_FLOWS = frozenset({"populace", "populace.definitions", "populace.errors", "populace.loading"})
CONNECTIONS = frozenset({"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "request", "stream"})

# --- sizes -----------------------------------------------------------------------------------------------------

MODULE_LINES = 400
FUNCTION_LINES = 60  # without the docstring
FLOW_LINES = 20  # likewise
LONG_MODULES: dict[str, str] = {}  # module: why it is better whole
LONG_FUNCTIONS: dict[str, str] = {}  # module.function: why it is better whole
NAMES_OF_NOTHING = frozenset({"utils", "util", "helpers", "helper", "common", "core", "misc"})


def place(name: str) -> str | None:
    """The line of `ENGINE` that a name of the engine belongs to; None for one that has no line.

    `populace.traits.funnel.join` belongs to `populace.traits`; `populace.__version__` to `populace`.
    """
    second = ".".join(name.split(".")[:2])
    if second in ENGINE:
        return second
    is_module = (ROOT / second.replace(".", "/")).is_dir() or (ROOT / (second.replace(".", "/") + ".py")).is_file()
    return None if is_module else "populace"


# --- the rules: each takes a module and yields what is wrong with it ----------------------------------------


def is_python(module: Module) -> Iterator[str]:
    """Python as the oldest version that we support reads it, when the tests run there."""
    try:
        parsed(module.source)
    except SyntaxError as error:
        yield f"{module.name}:{error.lineno}: {error.msg}"


def engine_imports(module: Module) -> Iterator[str]:
    if module.layer != "populace":
        return
    own = "populace" if module.name == "populace" else place(module.name)
    if own is None or (own == "populace" and module.name != "populace"):
        yield f"{module.name}: has no line in ENGINE; say there what it may import"
        return
    for each in imports(module):
        first = each.name.partition(".")[0]
        if first == "populace":
            target = place(each.name) or each.name
            is_allowed = target in {own, "populace"} or target in ENGINE[own]
        else:
            is_lazy = own == COMMAND_LINE and first in REACHED_UP_TO and each.is_inside_function
            is_outside = any((each.name + ".").startswith(known + ".") for known in OUTSIDE_WORLD)
            is_harmless = first in STDLIB and (own == COMMAND_LINE or not is_outside)
            is_allowed = is_lazy or is_harmless or first in ENGINE[own]
        if not is_allowed:
            yield f"{module.name}:{each.line}: {own} must not import {each.name}"


def engine_is_pure(module: Module) -> Iterator[str]:
    """No clock and no environment; an adapter describes requests and opens no connection."""
    if module.layer != "populace" or place(module.name) == COMMAND_LINE or module.name == MEMORY:
        return
    for node in ast.walk(module.tree):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        owner, _, attribute = name.rpartition(".")
        last = owner.rpartition(".")[2]
        if last in {"datetime", "date"} and attribute in {"now", "utcnow", "today"}:
            yield f"{module.name}:{node.lineno}: reads the clock ({name}); take the instant as an argument"
        if name in {"os.environ", "os.getenv"}:
            yield f"{module.name}:{node.lineno}: reads the environment ({name}); take the value as an argument"
        if owner == "httpx" and attribute in CONNECTIONS:
            yield f"{module.name}:{node.lineno}: opens a connection ({name}); return a request"
    for each in imports(module):
        if each.name in {"os.environ", "os.getenv"}:
            yield f"{module.name}:{each.line}: reads the environment ({each.name}); take the value as an argument"


def tasks_stay_apart(module: Module, with_tasks: frozenset[str]) -> Iterator[str]:
    """Tasks know no flow, and a module with tasks never another one: order is the flows' business."""
    if module.layer != "tasks":
        return
    has_tasks = any(decorated(module, "task"))
    for each in imports(module):
        if each.name.partition(".")[0] == "flows" or (each.name + ".").startswith(COMMAND_LINE + "."):
            yield f"{module.name}:{each.line}: tasks must not import {each.name}"
        other = ".".join(each.name.split(".")[:2])
        if has_tasks and other in with_tasks - {module.name}:
            yield f"{module.name}:{each.line}: has tasks and imports {other}, which has tasks too"


def flows_only_order(module: Module) -> Iterator[str]:
    if module.layer != "flows":
        return
    for each in imports(module):
        first = each.name.partition(".")[0]
        is_allowed = first in STDLIB | {"flows", "tasks", "prefect"}
        if first == "populace":
            is_allowed = (place(each.name) or each.name) in SEEN_BY_FLOWS
        if not is_allowed:
            yield f"{module.name}:{each.line}: flows must not import {each.name}"
    for function in decorated(module, "flow"):
        if (lines := body_lines(function)) > FLOW_LINES:
            yield f"{module.name}:{function.lineno}: flow {function.name} has {lines} lines, at most {FLOW_LINES}"


def sizes(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > MODULE_LINES and module.name not in LONG_MODULES:
        yield f"{module.name}: {lines} lines, at most {MODULE_LINES}; split it along a line that has a name"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = body_lines(node)
            if length > FUNCTION_LINES and f"{module.name}.{node.name}" not in LONG_FUNCTIONS:
                yield f"{module.name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def names_say_something(module: Module) -> Iterator[str]:
    for part in NAMES_OF_NOTHING.intersection(module.name.split(".")):
        yield f"{module.name}: '{part}' says nothing about what is inside"


def flow_stems_are_unique(module: Module) -> Iterator[str]:
    """A file entrypoint puts `flows/` first on the import path, where it would hide a module of the same name."""
    parts = module.name.split(".")
    if module.layer != "flows" or len(parts) != 2:
        return
    stem = parts[1]
    elsewhere = [str(ROOT)] + [each for each in sys.path if Path(each).resolve() not in (ROOT, ROOT / "flows")]
    if stem in STDLIB or importlib.machinery.PathFinder.find_spec(stem, elsewhere) is not None:
        yield f"{module.name}: '{stem}' can be imported from elsewhere too; name the flow's file otherwise"


def problems(module: Module, with_tasks: frozenset[str] = frozenset()) -> list[str]:
    """Everything that is wrong with one module."""
    return list(is_python(module)) or [
        *engine_imports(module),
        *engine_is_pure(module),
        *tasks_stay_apart(module, with_tasks),
        *flows_only_order(module),
        *sizes(module),
        *names_say_something(module),
        *flow_stems_are_unique(module),
    ]


# --- the product keeps the rules -----------------------------------------------------------------------------


def test_every_module_keeps_to_its_layer_and_size():
    everything = modules()
    with_tasks = frozenset(
        each.name
        for each in everything
        if each.layer == "tasks" and not any(is_python(each)) and any(decorated(each, "task"))
    )
    found = [problem for each in everything for problem in problems(each, with_tasks)]
    assert not found, "\n" + "\n".join(found)


def test_exemptions_are_needed_and_reasoned():
    everything = {each.name: each for each in modules()}
    for name, reason in (LONG_MODULES | LONG_FUNCTIONS).items():
        assert len(reason.split()) >= 4, f"{name}: say why"
    for name in LONG_MODULES:
        assert len(everything[name].source.splitlines()) > MODULE_LINES, f"{name} is short enough without exemption"
    for name in LONG_FUNCTIONS:
        owner = everything[name.rpartition(".")[0]]
        lengths = [
            body_lines(each)
            for each in ast.walk(owner.tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == name.rpartition(".")[2]
        ]
        assert max(lengths) > FUNCTION_LINES, f"{name} is short enough without exemption"


def test_engine_and_command_line_load_without_prefect():
    """What the trees say, seen from outside: importing all of populace brings in neither Prefect nor a layer above."""
    names = [each.name for each in modules() if each.layer == "populace" and not each.name.endswith("__main__")]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({'prefect', 'flows', 'tasks', 'demo'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


# --- each rule catches what it is for --------------------------------------------------------------------------


def steps(count: int) -> str:
    return "    step()\n" * count


VIOLATIONS = [
    # the engine's imports
    ("populace.traits", "import prefect", "populace.traits must not import prefect"),
    ("populace.traits", "from prefect import flow", "must not import prefect.flow"),
    ("populace.traits", "from populace import audiences", "must not import populace.audiences"),
    ("populace.traits", "from populace.lake import replace", "must not import populace.lake.replace"),
    ("populace.traits", "from .lake import replace", "must not import populace.lake.replace"),
    ("populace.traits", "def compute():\n    from . import identity", "must not import populace.identity"),
    ("populace.traits.funnel", "from ..identity import resolve", "must not import populace.identity.resolve"),
    ("populace.traits", "import importlib\nimportlib.import_module('prefect')", "must not import prefect"),
    ("populace.audiences", "import numpy as np", "must not import numpy"),
    ("populace.traits", "import boto3", "must not import boto3"),
    ("populace.traits", "import logging", "must not import logging"),
    ("populace.traits", "from time import time", "must not import time.time"),
    ("populace.traits", "from urllib.request import urlopen", "must not import urllib.request.urlopen"),
    ("populace.traits", "from http import client", "must not import http.client"),
    ("populace.definitions", "import polars as pl", "must not import polars"),
    ("populace.definitions", "from populace import query", "must not import populace.query"),
    ("populace.errors", "from populace.definitions import Trait", "must not import populace.definitions.Trait"),
    ("populace.query", "import polars", "must not import polars"),
    ("populace.loading", "import polars", "must not import polars"),
    ("populace.expressions", "from populace import traits", "must not import populace.traits"),
    ("populace.events", "import scipy", "must not import scipy"),
    ("populace.identity", "import duckdb", "must not import duckdb"),
    ("populace.sync", "from populace import destinations", "must not import populace.destinations"),
    ("populace.destinations.webhook", "import boto3", "must not import boto3"),
    ("populace.destinations.webhook", "from populace.sync import outcomes", "must not import populace.sync.outcomes"),
    ("populace.lake", "from populace import events", "must not import populace.events"),
    ("populace.lake.objects", "import duckdb", "must not import duckdb"),
    ("populace.space", "import boto3", "must not import boto3"),
    ("populace.space", "from populace.cli import main", "must not import populace.cli.main"),
    ("populace.space", "def run():\n    import tasks.replay", "must not import tasks.replay"),
    ("populace.cli", "import flows.recompute", "must not import flows.recompute"),
    ("populace.cli.run", "from tasks import replay", "must not import tasks.replay"),
    ("populace.cli.run", "def run():\n    import prefect", "must not import prefect"),
    ("populace", "import polars", "must not import polars"),
    ("populace.nowhere", "", "has no line in ENGINE"),
    # the engine's purity
    ("populace.traits", "import datetime as d\nd.datetime.now()", "reads the clock"),
    ("populace.traits", "from datetime import date\ndate.today()", "reads the clock"),
    ("populace.lake", "import os\nos.environ['HOME']", "reads the environment"),
    ("populace.lake", "from os import getenv", "reads the environment"),
    ("populace.destinations.webhook", "import httpx\nhttpx.post('x')", "opens a connection"),
    ("populace.destinations.webhook", "import httpx\nwith httpx.Client() as c: ...", "opens a connection"),
    # tasks
    ("tasks.compute", "import flows.recompute", "tasks must not import flows.recompute"),
    ("tasks.compute", "from populace import cli", "tasks must not import populace.cli"),
    ("tasks.compute", "from prefect import task\nfrom tasks import sync\n@task\ndef a(): ...", "has tasks too"),
    ("tasks.compute", "import prefect\nfrom .sync import send\n@prefect.task()\ndef a(): ...", "has tasks too"),
    # flows
    ("flows.recompute", "import polars as pl", "flows must not import polars"),
    ("flows.recompute", "from populace import traits", "flows must not import populace.traits"),
    ("flows.recompute", "from populace import space", "flows must not import populace.space"),
    ("flows.recompute", "def f():\n    import boto3", "flows must not import boto3"),
    ("flows.recompute", "@flow\ndef recompute():\n" + steps(21), "flow recompute has 21 lines"),
    ("flows.recompute", "@prefect.flow(name='x')\nasync def recompute():\n" + steps(21), "has 21 lines"),
    ("flows.statistics", "", "can be imported from elsewhere"),
    ("flows.tasks", "", "can be imported from elsewhere"),
    ("flows.polars", "", "can be imported from elsewhere"),
    # sizes and names
    ("tasks.compute", "def compute(:", "tasks.compute:1: "),
    ("populace.traits", "x = 1\n" * 401, "401 lines, at most 400"),
    ("tasks.compute", "class A:\n  def long(self):\n" + steps(70), "long has 70 lines, at most 60"),
    ("demo.shop", "def long():\n" + steps(70), "long has 70 lines, at most 60"),
    ("tasks.utils", "", "'utils' says nothing"),
    ("populace.traits.helpers", "", "'helpers' says nothing"),
    ("demo.common.shop", "", "'common' says nothing"),
    ("tasks.core", "", "'core' says nothing"),
    ("demo.misc", "", "'misc' says nothing"),
]


@pytest.mark.parametrize(("name", "source", "expected"), VIOLATIONS, ids=lambda text: text[:40].replace("\n", " "))
def test_violation_is_caught(name: str, source: str, expected: str):
    found = problems(Module(name, source), with_tasks=frozenset({"tasks.sync", "tasks.compute"}))
    assert any(expected in problem for problem in found), found


KEPT = [
    ("populace.traits", "import polars as pl\nfrom populace import __version__, definitions, expressions"),
    ("populace.traits.funnel", "from . import reducers\nfrom ..errors import PopulaceError"),
    ("populace.events", "import duckdb\nimport json"),
    ("populace.identity", "import numpy as np\nfrom scipy.sparse import csgraph"),
    ("populace.lake", "import boto3, os, uuid\nfrom urllib.parse import urlsplit\nos.replace('a', 'b')"),
    ("populace.destinations.webhook", "import httpx\nhttpx.Request('POST', 'https://api.example.com')"),
    ("populace.space", "from populace import audiences, lake, loading, traits"),
    ("populace.cli.run", "import click, os, time\nos.environ.get('X')\ndef run():\n    from flows import recompute"),
    (
        "tasks.compute",
        "from prefect import task\nfrom tasks import http\nfrom populace import space\n@task\ndef a(): ...",
    ),
    ("flows.recompute", "from prefect import flow\nfrom tasks import compute\nfrom populace import loading"),
    ("flows.recompute", '@flow\ndef f():\n    """One."""\n' + steps(20)),
]


@pytest.mark.parametrize(("name", "source"), KEPT, ids=lambda text: text[:40].replace("\n", " "))
def test_good_code_passes(name: str, source: str):
    assert problems(Module(name, source), with_tasks=frozenset({"tasks.sync"})) == []
