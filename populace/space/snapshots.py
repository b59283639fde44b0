"""What statements answered at the instants of their schedules: kept in the lake, so that runs are made of files.

`sql/<key>/<instant>-<fingerprint>.json` says which object holds the answer; it is created once. Objects are named after
their content, so an answer that is the same as before is stored once.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from cronsim import CronSim

from populace.definitions import Sql
from populace.lake import ledger, runs
from populace.lake.objects import ROW_GROUP, read_json, scan, to_json
from populace.space.opening import OpenSpace

FOLDER = "sql"
LAKE = "lake"  # the connection that is no database
Entry = dict  # of a run's plan: see `chosen`


def fingerprint(sql: Sql) -> str:
    """Of all that says what a statement answers."""
    return ledger.fingerprint([sql.connection, sql.statement, sql.level])[:12]


def tick(sql: Sql, as_of: datetime) -> datetime | None:
    """The last instant of the schedule up to `as_of`; None where a statement runs with every run."""
    if sql.schedule is None:
        return None
    # A plain instant, for cronsim loses the zone of others; and just after it, for the instant itself counts.
    at = as_of.astimezone(UTC)
    after = datetime.combine(at.date(), at.time(), UTC) + timedelta(microseconds=1)
    return next(CronSim(sql.schedule, after, reverse=True))


def chosen(space: OpenSpace, as_of: datetime) -> dict[str, Entry]:
    """What a run as of an instant takes the answer of each statement from, by key.

    Returns
    -------
    `fingerprint` of the statement; `snapshot`, `at`, `object` and `digest` of its newest answer up to `as_of`. Without
    a snapshot there is no answer of a database, and one of the lake is computed with the run: it is a function of the
    run's own tables.
    """
    return {
        each.key: {"fingerprint": fingerprint(each)} | _snapshot(space, each, as_of) for each in space.definition.sql
    }


def _snapshot(space: OpenSpace, sql: Sql, as_of: datetime) -> Entry:
    if sql.connection != LAKE:
        return _newest(space, sql, lambda at: at <= _stamp(as_of))
    if sql.schedule is None:
        return {}
    since = _stamp(tick(sql, as_of))  # type: ignore[arg-type]
    # What a run as of this very instant kept is what this run computes: it is made of the same when it is repeated.
    return _newest(space, sql, lambda at: since <= at < _stamp(as_of))


def _newest(space: OpenSpace, sql: Sql, is_wanted: Callable[[str], bool]) -> Entry:
    paths = [path for at, path in _kept(space, sql) if is_wanted(at)]
    return read_json(space.lake, max(paths)) | {"snapshot": max(paths)} if paths else {}


def _kept(space: OpenSpace, sql: Sql) -> Iterator[tuple[str, str]]:
    """The instant and the path of every answer to the statement as it is now."""
    ending = f"-{fingerprint(sql)}.json"
    for each in space.lake.list(f"{FOLDER}/{sql.key}/"):
        if each.path.endswith(ending):
            yield each.path.rpartition("/")[2].removesuffix(ending), each.path


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"


def due(space: OpenSpace, as_of: datetime, now: datetime) -> list[str]:
    """The keys of statements that databases are to be asked for a run as of `as_of`.

    A database can only say what holds now. So nothing is asked for an instant after which the schedule has passed
    another one, or that is still to come.
    """
    asked = [each for each in space.definition.sql if each.connection != LAKE]
    return [
        each.key
        for each in asked
        if (at := tick(each, as_of)) == tick(each, now) and at and _stamp(at) not in dict(_kept(space, each))
    ]


def are_new(space: OpenSpace, now: datetime) -> bool:
    """Whether a run as of now would have other answers than the published one, or one that falls due with it."""
    run_id = runs.current(space.lake)
    manifest = (runs.manifest(space.lake, run_id) or {}) if run_id else {}
    before, wanted = manifest.get("sql", {}), chosen(space, now)
    told = {key: _told(each) for key, each in wanted.items()}
    scheduled = {each.key: each for each in space.definition.sql if each.connection == LAKE and each.schedule}
    is_due = any(
        not told[key][1] and manifest.get("as_of", "") < runs.iso(tick(each, now))  # type: ignore[arg-type]
        for key, each in scheduled.items()
    )
    others = told.keys() - scheduled.keys()
    return is_due or before.keys() != told.keys() or any(_told(before[key]) != told[key] for key in others)


def _told(entry: Entry) -> tuple[str, str | None]:
    return entry["fingerprint"], entry.get("digest")


# --- objects ----------------------------------------------------------------------------------------


def keep(space: OpenSpace, sql: Sql, at: datetime, found: pl.DataFrame, folder: Path) -> None:
    """Keep an answer as that of an instant, unless there is one: equal rows, in any order, are one object.

    Parameters
    ----------
    found
        From `rows.typed`, with the identifier under its own name.
    folder
        A private one, on a local disk.
    """
    digest = _digest(found)
    path = f"{FOLDER}/{sql.key}/{digest}.parquet"
    if not any(each.path == path for each in space.lake.list(path)):
        file = folder / "snapshot.parquet"
        found.write_parquet(file, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
        space.lake.put_file(path, file)
    document = {"at": runs.iso(at), "object": path, "digest": digest, "rows": found.height}
    space.lake.create(f"{FOLDER}/{sql.key}/{_stamp(at)}-{fingerprint(sql)}.json", to_json(document))


def _digest(found: pl.DataFrame) -> str:
    """The same for equal rows in any order: a sum of what each comes to takes a tenth of the time of sorting them."""
    sums = [int(found.hash_rows(seed=each).sum()) for each in (1, 2)]
    told = [[name, str(dtype)] for name, dtype in found.schema.items()]
    return ledger.fingerprint([told, found.height, sums])


def read(space: OpenSpace, entry: Entry) -> pl.DataFrame:
    """The answer that an entry names, as it was kept."""
    return scan(space.lake, entry["object"]).collect()
