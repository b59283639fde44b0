"""What the path of an object says: the hour of receipt, the table, and whether it holds events at all.

Paths are those below the archive, which may be the bucket, or any folder on the way to the objects: every rule looks
from the object's end.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

DAY_SECONDS = 86_400

MIDNIGHT = re.compile(r"(?:^|/)(\d{10}|\d{13})/[^/]+$")
HOUR = r"(?:/(?:hr=|hour=)?(?P<hour>[01]?\d|2[0-3]))?/[^/]+$"
# Before the date there may be a word of the customer's choice: `day=`, `date=`.
YEAR_FIRST = re.compile(r"(?:^|/)[^/0-9]*(?P<year>\d{4})(?P<cut>[-/])(?P<month>\d\d)(?P=cut)(?P<day>\d\d)" + HOUR)
MONTH_FIRST = re.compile(r"(?:^|/)[^/0-9]*(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{4})" + HOUR)

# Words in the names that writers give the files of one table: numbers, hashes, `part-00000-<uuid>-c000`.
COUNTED = re.compile(
    r"\d*[a-z]?\d+z?|(?=[a-f]*\d)[0-9a-f]{6,}|[0-9a-f]{8}|part|data|file|chunk|batch|export|shard|split|of"
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PARTITION = re.compile(r"[^/]*=.*|[\d._-]+")


def is_hidden(path: str) -> bool:
    """Whether a file or one of its folders is a writer's own: `_SUCCESS`, `_temporary/`, `.tmp`; or no file at all."""
    return path.endswith("/") or any(part[:1] in ("", ".", "_") for part in path.split("/"))


def midnight(path: str) -> datetime | None:
    """The day of `<midnight as a Unix time, in seconds or milliseconds>/<file>` (E-62)."""
    found = MIDNIGHT.search(path)
    if found is None:
        return None
    seconds = int(found[1]) / (1000 if len(found[1]) == 13 else 1)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds) if not seconds % DAY_SECONDS else None


def day_or_hour(path: str, *, month_first: bool = False) -> datetime | None:
    """The day or hour of the folders just above a file.

    Read are the four forms of E-73, `day=YYYY-MM-DD/hr=HH`, `YYYY/MM/DD/HH`, `YYYY/MM/DD`, `YYYY-MM-DD`, and with
    `month_first` also RudderStack's `MM-DD-YYYY`. None where there is no such folder, or no such day.
    """
    found = YEAR_FIRST.search(path) or (MONTH_FIRST.search(path) if month_first else None)
    if found is None:
        return None
    year, month, day = (int(found[name]) for name in ("year", "month", "day"))
    try:
        return datetime(year, month, day, int(found["hour"] or 0), tzinfo=UTC)
    except ValueError:
        return None


def segment_type(path: str) -> str:
    """The table of a data lake's object, from `segment_type=<table>/` (E-71); empty where the path does not say."""
    found = re.search(r"(?:^|/)segment_type=([^/]+)/", path)
    return found[1] if found else ""


def table(path: str, known: frozenset[str]) -> str:
    """The table of a warehouse's object, in lower case: `<table>.parquet`, or a file in a folder of that name.

    A folder that is named like one of the `known` tables decides. Else it is the file's own name, unless that is one
    which writers give by the number, or begins with the folder's; then it is the nearest folder that is no partition
    (`day=…`, `2024`). Empty where there is none.
    """
    *folders, file = path.lower().split("/")
    stem = re.sub(r"(\.(parquet|parq|pq|snappy|gz|gzip|zst|zstd|lz4|brotli))+$", "", file)
    tables = [each for each in reversed(folders) if not PARTITION.fullmatch(each)]
    return next((each for each in _bare(tables) if each in known), None) or _own(stem, tables)


def _own(stem: str, tables: list[str]) -> str:
    is_one_of_many = _is_counted(stem) or (bool(tables) and stem.startswith(tables[0]))
    return next(_bare(tables if is_one_of_many else [stem]), "")


def _is_counted(stem: str) -> bool:
    words = re.split(r"[-_.]+", UUID.sub("0", stem))
    return any(map(str.isdigit, "".join(words))) and all(map(COUNTED.fullmatch, filter(None, words)))


def _bare(tables: list[str]) -> Iterator[str]:
    """Names without what stands before a dot: `public.tracks`."""
    return (each.rpartition(".")[2] for each in tables)
