"""YAML files as plain data that remembers on which line everything stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from populace.definitions import Place

Keys = tuple[str | int, ...]
INT = "tag:yaml.org,2002:int"


class _Loader(yaml.SafeLoader):
    """YAML whose whole numbers are decimal: 0123 is a text, not 83, and 1:30 is no number of seconds."""

    yaml_implicit_resolvers = {  # noqa: RUF012, as PyYAML has it
        sign: [each for each in found if each[0] != INT]
        for sign, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(INT, re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))


@dataclass
class Document:
    """One or several YAML files that hold one mapping together.

    `places` knows the line of every key and item; `problems` lists what YAML itself has to say.
    """

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, Place] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, keys: Keys) -> Place:
        """Where the value stands, or the nearest thing around it."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, Place(self.file, 1))

    def report(self, keys: Keys, problem: str) -> None:
        self.problems.append(f"{self.place(keys)}: {problem}")


def read(folder: Path, name: str) -> Document:
    """`<folder>/<name>.yaml` or every YAML file of `<folder>/<name>/`; empty where there is neither.

    Files of a folder hold the same mapping as the single file would, a part each.
    """
    single, several = folder / f"{name}.yaml", folder / name
    files = [single] if single.is_file() else []
    files += sorted(several.glob("*.yaml")) if several.is_dir() else []
    document = Document(str(single if single.is_file() or not files else several))
    for file in files:
        _read_file(file, document)
    return document


def read_file(file: Path) -> Document:
    """One YAML file."""
    document = Document(str(file))
    _read_file(file, document)
    return document


def _remedy(file: Path, line: int) -> str:
    """What most often is wrong with a query that holds a colon."""
    written = file.read_text(encoding="utf-8").splitlines()[line - 1 : line]
    is_query = any(each.lstrip().startswith("query:") for each in written)
    return "; write `query: |` and the query below it, further in" if is_query else ""


def _read_file(file: Path, document: Document) -> None:
    try:
        with file.open(encoding="utf-8") as text:
            root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line = mark.line + 1 if mark else 1
        document.problems.append(f"{file}:{line}: not valid YAML: {cause.problem}{_remedy(file, line)}")
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as cause:
        document.problems.append(f"{file}:1: cannot be read: {str(cause).splitlines()[0]}")
        return
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        document.problems.append(f"{file}:1: a mapping of names to definitions was expected")
        return
    _Builder(str(file), document).mapping(root, (), into=document.data)


class _Builder:
    """Turns YAML nodes into plain data, noting places and duplicate keys."""

    def __init__(self, file: str, document: Document) -> None:
        self.file = file
        self.document = document
        self.scalars = yaml.SafeLoader("")
        self.around: list[yaml.Node] = []

    def mapping(self, node: yaml.MappingNode, keys: Keys, into: dict[str, Any]) -> dict[str, Any]:
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*keys, key)
            line = key_node.start_mark.line + 1
            if key in into:
                self.document.problems.append(
                    f"{self.file}:{line}: '{key}' is already defined at {self.document.places[here]}"
                )
                continue
            self.document.places[here] = Place(self.file, line)
            into[key] = self.value(value_node, here)
        return into

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        if any(node is each for each in self.around):
            return self._wrong(node, "an alias of what it stands in")
        if isinstance(node, yaml.ScalarNode):
            self._note_text(node, keys)
            return self._scalar(node)
        self.around.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, keys, {})
            return list(self._items(node, keys))
        finally:
            self.around.pop()

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.scalars.construct_object(node)
        except (ValueError, yaml.MarkedYAMLError):  # 2024-02-30, or a tag that nobody knows
            return self._wrong(node, f"'{node.value}' is no value; write it in quotes if it is text")

    def _wrong(self, node: yaml.Node, problem: str) -> None:
        self.document.problems.append(f"{self.file}:{node.start_mark.line + 1}: {problem}")

    def _items(self, node: yaml.Node, keys: Keys) -> Iterator[Any]:
        for number, item in enumerate(node.value):
            self.document.places[*keys, number] = Place(self.file, item.start_mark.line + 1)
            yield self.value(item, (*keys, number))

    def _note_text(self, node: yaml.ScalarNode, keys: Keys) -> None:
        """The line on which a text begins: below the `|` of a block."""
        below = 1 if node.style in ("|", ">") else 0
        self.document.places[*keys, "text"] = Place(self.file, node.start_mark.line + 1 + below)
