"""Driving a space from archive to published run, as the flows do and in their order, without Prefect."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from populace import query
from populace.definitions import Audience, Identifier, Identity, Source, Space, Trait
from populace.errors import ArchiveError
from populace.lake import runs
from populace.lake.objects import open_store
from populace.space import OpenSpace, archive, recompute, replay, statements

IDENTITY = Identity(
    (
        Identifier("user_id"),
        Identifier("email", "trim_lower"),
        Identifier("anonymous_id"),
        Identifier("app_id", read_from="app_id"),
    ),
    blocked=("^[0-]*$", "-1", "null", "anonymous"),
)


def space_in(
    folder: Path,
    *,
    sources: Iterable[str] = ("web",),
    identity: Identity = IDENTITY,
    traits: Mapping[str, str] | None = None,
    audiences: Mapping[str, str] | None = None,
    **fields: Any,
) -> OpenSpace:
    """A space without definition files: archives under `<folder>/archive`, the lake in `<folder>/lake`.

    `traits` and `audiences` map keys to queries; `fields` are further fields of `Space`.
    """
    definition = Space(
        name="test",
        lake=(folder / "lake").as_uri(),
        sources=tuple(Source(each, (folder / "archive" / each).as_uri()) for each in sources),
        identity=identity,
        traits=tuple(Trait(key, query.parse_trait(text)) for key, text in (traits or {}).items()),
        audiences=tuple(Audience(key, query.parse_audience(text)) for key, text in (audiences or {}).items()),
        **{"window": timedelta(days=365), **fields},
    )
    return OpenSpace(definition, open_store(definition.lake, definition.storage))


def put(space: OpenSpace, source: str, name: str, rows: pl.DataFrame) -> Path:
    """Put an object into the archive of a source; `name` may hold folders."""
    file = Path(space.archive(space.source(source)).url(f"{name}.parquet"))
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(file)
    return file


def replay_all(space: OpenSpace, as_of: datetime) -> dict[str, dict[str, Any]]:
    """Archive to lake, as `flows.replay`; returns each source's summary, which holds its `rows`, `days` and `parts`.

    As there, a source or an object that cannot be read stops no other; the first error is raised at the end.
    """
    errors: list[ArchiveError] = []
    replay.drop_removed(space)
    looked = [each for each in space.definition.sources if _look(space, each, as_of, errors)]
    for source in looked:
        found = survey(space, source, as_of)
        try:
            replay.run_source(space, found, found.todo, lambda _: None)
        except ArchiveError as error:
            errors.append(error)
    summaries = {each.name: replay.finish(space, survey(space, each, as_of)) for each in space.definition.sources}
    if errors:
        raise errors[0]
    return summaries


def _look(space: OpenSpace, source: Source, as_of: datetime, errors: list[ArchiveError]) -> bool:
    try:
        archive.look(space, source, _first_day(space, as_of))
    except ArchiveError as error:
        replay.doubt(space, survey(space, source, as_of))
        errors.append(error)
        return False
    replay.begin(space, survey(space, source, as_of))
    return True


def run(space: OpenSpace, as_of: datetime) -> str:
    """A run of what is in the lake, complete and published if no later one is; returns its id."""
    planned = recompute.plan(space, as_of)
    recompute.resolve_identities(space, planned)
    recompute.compute_traits(space, planned)
    statements.compute(space, planned)
    recompute.evaluate_audiences(space, planned)
    recompute.complete(space, planned)
    recompute.publish(space, planned)
    return planned.run_id


def recomputed(space: OpenSpace, as_of: datetime) -> str:
    """Both: what is in the archive, replayed and made a run of; returns its id."""
    replay_all(space, as_of)
    return run(space, as_of)


def table(space: OpenSpace, run_id: str, name: str) -> pl.DataFrame:
    """A table of a run."""
    return runs.table(space.lake, run_id, name).collect()


def survey(space: OpenSpace, source: Source, as_of: datetime) -> archive.Survey:
    """What is due for a source whose archive was looked at."""
    return archive.survey(space, source, _first_day(space, as_of))


def _first_day(space: OpenSpace, as_of: datetime) -> str:
    return (as_of - space.definition.window).date().isoformat()
