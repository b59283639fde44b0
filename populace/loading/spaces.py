"""A folder of definitions as a `Space`, or one error that lists everything wrong with it."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from populace.definitions import Family, Identity, Source, Space, Sql, Storage, Trait
from populace.errors import DefinitionError, UsageError
from populace.loading import checks, destinations, identities, levels, lists, shapes, statements
from populace.loading.checks import meant
from populace.loading.computed import Computed
from populace.loading.documents import Document, Keys, read, read_file
from populace.loading.variables import VARIABLE, resolve_text

FILES = ("space", "sources", "identity", "traits", "audiences", "destinations")

T = TypeVar("T")


def spaces_in(folder: Path) -> list[str]:
    """The spaces that a folder of definitions holds, by name."""
    return sorted(each.parent.name for each in folder.glob("*/space.yaml"))


def load(name: str, folder: Path, environ: Mapping[str, str]) -> Space:
    """Load and validate one space.

    Parameters
    ----------
    name
        The space: a folder below `folder`.
    folder
        Where all spaces are defined; the others are looked at only for what must not be shared.
    environ
        What `${NAME}` in a URI stands for.

    Raises
    ------
    UsageError
        If there is no such space.
    DefinitionError
        If anything is wrong; holds every problem as `file:line: what, and what was meant`.
    """
    if name not in (known := spaces_in(folder)):
        message = f"no space '{name}' in {folder}; " + (f"there is {', '.join(known)}" if known else "it holds none")
        raise UsageError(message)
    documents = {each: read(folder / name, each) for each in FILES}
    for file in sorted((folder / name).glob("*.y*ml")):
        if file.name not in {f"{each}.yaml" for each in FILES}:
            documents["space"].problems.append(f"{file}:1: nothing reads this file{meant(file.stem, FILES)}")
    loader = _Loader(name, folder, environ, documents)
    space = loader.space()
    levels.check(space, documents)
    others = [_outline(other, folder, environ) for other in known if other != name]
    checks.check(space, others, documents, checks.Around(environ, folder.resolve().parent))
    lists.check(space, documents)
    statements.check(space, documents)
    problems = [problem for document in documents.values() for problem in document.problems]
    if problems:
        raise DefinitionError(sorted(problems, key=_by_line))
    return replace(space, warnings=checks.warnings(space))


def load_identity(file: Path) -> Identity:
    """Rules of identity from a file of their own, in the form of `identity.yaml`; it has to list identifiers.

    Raises
    ------
    DefinitionError
        If anything is wrong.
    """
    documents = {each: Document(each) for each in FILES} | {"identity": read_file(file)}
    found = _Loader(file.stem, file.parent, {}, documents).identity()
    if not documents["identity"].data.get("identifiers"):
        problem = "lists no identifiers; write all that the space is to have, in the form of identity.yaml"
        documents["identity"].report((), problem)
    if problems := documents["identity"].problems:
        raise DefinitionError(sorted(problems, key=_by_line))
    return found


def _by_line(problem: str) -> tuple[str, int]:
    found = re.match(r"(.*?):(\d+): ", problem)
    return (found[1], int(found[2])) if found else (problem, 0)


def _outline(name: str, folder: Path, environ: Mapping[str, str]) -> Space:
    """Another space as far as it can be read; its own problems are its own business."""
    documents = {each: read(folder / name, each) for each in ("space", "destinations")}
    documents |= {each: Document(each) for each in FILES if each not in documents}
    return _Loader(name, folder, environ, documents).space()


class _Loader:
    """Makes the nodes of one space, noting problems in the documents they come from."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str], documents: dict[str, Document]) -> None:
        self.name = name
        self.base = folder.resolve().parent
        self.environ = environ
        self.documents = documents

    # --- nodes -------------------------------------------------------------------------------

    def space(self) -> Space:
        shape = self._validated("space", shapes.SpaceShape) or shapes.SpaceShape(space=self.name, lake=checks.UNKNOWN)
        if shape.space != self.name:
            self.documents["space"].report(
                ("space",), f"space '{shape.space}' is in the folder '{self.name}'; use one name"
            )
        computed = Computed(self.documents)
        traits = self._each("traits", shapes.Key, shapes.TraitShape, computed.trait)
        identity = self.identity()
        making = destinations.Making(self.name, self.documents, self.environ, identity)
        return Space(
            name=self.name,
            lake=self._uri("space", ("lake",), shape.lake),
            storage=self._storage("space", ("storage",), shape.storage),
            window=shapes.length(shape.window),
            include_anonymous=shape.include_anonymous,
            salt=shape.salt,
            notify=self._addresses(shape.notify),
            sources=self._each("sources", shapes.Name, shapes.SourceShape, self._source),
            identity=identity,
            traits=tuple(each for each in traits if isinstance(each, Trait)),
            families=tuple(each for each in traits if isinstance(each, Family)),
            sql=tuple(each for each in traits if isinstance(each, Sql)),
            connections=tuple(sorted(shape.connections.items())),
            audiences=self._each("audiences", shapes.Key, shapes.AudienceShape, computed.audience),
            destinations=self._each("destinations", shapes.Name, shapes.DestinationShape, making.destination),
        )

    def identity(self) -> Identity:
        return identities.identity(self._validated("identity", shapes.IdentityShape), self.documents["identity"])

    def _addresses(self, written: list[str]) -> tuple[str, ...]:
        """Where to post what happens; kept as written, for an address is a secret."""
        for number, text in enumerate(written):
            if text and not VARIABLE.search(text) and not text.startswith(("https://", "http://")):
                problem = "'notify' takes URLs that start with https:// or http://, such as ${NOTIFY_URL:-}"
                self.documents["space"].report(("notify", number), problem)
        return tuple(each for each in written if each)

    def _source(self, key: str, shape: shapes.SourceShape) -> Source:
        storage = shape.storage or shapes.StorageShape(**_texts(self.documents["space"].data.get("storage")))
        return Source(
            name=key,
            archive=self._uri("sources", (key, "archive"), shape.archive),
            layout=shape.layout,
            storage=self._storage("sources", (key, "storage"), storage),
            since=shape.since.isoformat() if shape.since else None,
            keep_context=tuple(shape.keep_context),
            silent_after=shapes.length(shape.silent_after) if shape.silent_after else None,
            at=self.documents["sources"].place((key,)),
        )

    # --- pieces ------------------------------------------------------------------------------

    def _each(self, name: str, key_type: Any, shape: type[T], build: Callable[[str, T], Any]) -> tuple:
        """The definitions of a file, each built on its own so that one mistake does not hide another."""
        document, built = self.documents[name], []
        for key, data in document.data.items():
            good_key = self._validate(document, (key,), key_type, key)
            valid = self._validate(document, (key,), shape, {} if data is None else data)
            if good_key and valid is not None:
                built.append(build(key, valid))
        return tuple(each for each in built if each is not None)

    def _validated(self, name: str, shape: type[T]) -> T | None:
        document = self.documents[name]
        if not document.data and document.problems:
            return None
        return self._validate(document, (), shape, document.data)

    def _validate(self, document: Document, keys: Keys, shape: Any, data: Any) -> Any:
        try:
            return TypeAdapter(shape).validate_python(data)
        except ValidationError as cause:
            errors = cause.errors()
        for error in errors:
            document.report((*keys, *error["loc"]), _explain(error, keys, shape))
        return _without(data, errors, shape)

    def _uri(self, name: str, keys: Keys, text: str) -> str:
        try:
            uri = resolve_text(text, self.environ)
        except KeyError as missing:
            self.documents[name].report(keys, f"environment variable {missing.args[0]} is not set")
            return text
        if not uri.startswith(("file:", "s3://")) or re.match("file://[^/]", uri):
            self.documents[name].report(
                keys, f"'{uri}' is no place to read; write s3://bucket/prefix or file:///folder"
            )
        if uri.startswith("file:") and not uri.startswith("file:/"):
            return (self.base / uri.removeprefix("file:")).resolve().as_uri()
        return uri

    def _storage(self, name: str, keys: Keys, shape: shapes.StorageShape) -> Storage:
        values: dict[str, str | None] = {}
        for field in ("endpoint_url", "region"):
            text = getattr(shape, field, None)
            try:
                # An empty text means the default: so `${ENDPOINT:-}` can be left unset.
                values[field] = (resolve_text(text, self.environ) or None) if text else None
            except KeyError as missing:
                self.documents[name].report((*keys, field), f"environment variable {missing.args[0]} is not set")
        return Storage(**values)


def _without(data: Any, errors: list, shape: Any) -> Any:
    """What is left without its wrong parts, so that mistakes in the rest are told as well; None if that is nothing."""
    rest = deepcopy(data)
    for error in errors:
        _remove(rest, [part for part in error["loc"] if part != "[key]"])
    try:
        return TypeAdapter(shape).validate_python(rest) if rest != data else None
    except ValidationError:
        return None


def _remove(data: Any, path: list) -> None:
    """Remove what stands at the path, or the list that it stands in."""
    if not isinstance(data, dict) or not path or path[0] not in data:
        return
    if len(path) == 1 or isinstance(data[path[0]], list):
        del data[path[0]]
    else:
        _remove(data[path[0]], path[1:])


def _texts(storage: Any) -> dict[str, Any]:
    """What is usable of the space's storage, whose problems are told where it stands."""
    given = storage if isinstance(storage, dict) else {}
    return {name: given[name] for name in shapes.StorageShape.model_fields if isinstance(given.get(name), str)}


def _explain(error: Any, keys: Keys, shape: Any) -> str:
    """One of pydantic's errors in the words of the definitions."""
    name = ".".join(str(each) for each in (*keys, *error["loc"]) if isinstance(each, str))
    if error["type"] == "extra_forbidden":
        last = str(error["loc"][-1])
        if last in shapes.LATER:
            return f"'{last}' is not available in this version; leave it out"
        within = shapes.NESTED.get(error["loc"][0], shape) if len(error["loc"]) > 1 else shape
        return f"unknown key '{last}'{meant(last, _fields(within))}"
    if error["type"] == "missing":
        return f"'{name}' is missing"
    if error["type"] == "string_pattern_mismatch":
        return f"'{error['input']}': write {shapes.EXAMPLES.get(error['ctx']['pattern'], error['ctx']['pattern'])}"
    if error["type"] == "model_type":
        return f"'{name}': a mapping of keys to values was expected"
    if error["type"] in EXPECTED:
        return f"'{name}': {EXPECTED[error['type']]}, not {KINDS.get(type(error['input']), 'a number or a date')}"
    if error["type"] == "value_error":
        return f"'{name}': {error['ctx']['error']}"
    return f"'{name}': {error['msg'][0].lower()}{error['msg'][1:]}"


EXPECTED = {
    "string_type": "text was expected, in quotes if need be",
    "dict_type": "a mapping of keys to values was expected",
    "list_type": "a list was expected",
}


KINDS = {dict: "a mapping", list: "a list", NoneType: "nothing (null)", bool: "true or false"}


def _fields(shape: Any) -> list[str]:
    fields = getattr(shape, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]
