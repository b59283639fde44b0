"""Opening a space: its definitions, its lake, and what follows from both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from populace import loading, traits
from populace.definitions import Destination, Source, Space
from populace.errors import ArchiveError, UsageError
from populace.events.parts import Rules
from populace.lake.objects import Store, open_store
from populace.nodes import Context, OfAccount, walk


@dataclass(frozen=True, slots=True)
class OpenSpace:
    """A validated space and the store behind its lake."""

    definition: Space
    lake: Store
    archives: dict[str, Store] = field(default_factory=dict, compare=False, repr=False)

    def source(self, name: str) -> Source:
        """The source of that name; UsageError where there is none."""
        for each in self.definition.sources:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.definition.sources)
        message = f"no source '{name}' in space '{self.definition.name}'; there is {known}"
        raise UsageError(message)

    @property
    def source_names(self) -> list[str]:
        """All sources, sorted."""
        return sorted(each.name for each in self.definition.sources)

    def destination(self, name: str) -> Destination:
        """The destination of that name; UsageError where there is none."""
        known = {each.name: each for each in self.definition.destinations}
        if name not in known:
            there = f"there is {', '.join(sorted(known))}" if known else "it has none"
            message = f"no destination '{name}' in space '{self.definition.name}'; {there}"
            raise UsageError(message)
        return known[name]

    def archive(self, source: Source) -> Store:
        """The store behind a source's archive."""
        if source.name not in self.archives:
            # Once per opening: a client of S3 takes longer to make than a small slice to read.
            self.archives[source.name] = open_store(source.archive, source.storage, ArchiveError)
        return self.archives[source.name]

    def rules(self, source: Source) -> Rules:
        """What extraction of a source depends on: identifiers, and the context paths someone reads."""
        families = self.definition.families
        written = [
            *(each.query for each in (*self.definition.computed, *families)),
            *(each.for_each for each in families),
        ]
        nodes = [node for each in written for node in walk(each)]
        read = {node.path for node in nodes if isinstance(node, Context)}
        if self.definition.identity.link_from_context or any(isinstance(node, OfAccount) for node in nodes):
            read.add(traits.GROUP_PATH)
        return Rules(
            self.definition.identity,
            tuple(sorted(read | set(source.keep_context))),
            source.layout,
            self.definition.salt,
        )


def open_space(name: str, definitions: str | Path, environ: Mapping[str, str]) -> OpenSpace:
    """Load a space and open its lake.

    Parameters
    ----------
    definitions
        The folder that holds one folder a space.
    environ
        What `${NAME}` in a URI stands for.

    Raises
    ------
    UsageError, DefinitionError
        As `loading.load`.
    """
    definition = loading.load(name, Path(definitions), environ)
    return OpenSpace(definition, open_store(definition.lake, definition.storage))
