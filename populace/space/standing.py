"""How far each source is, from the ledger alone: as a whole, and by received day. Also while a replay runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from populace.lake import ledger
from populace.space.opening import OpenSpace

SHOWN = 5  # of ignored objects


def of_source(space: OpenSpace, name: str) -> dict[str, Any]:
    """Where one source stands; `failed` objects could not be read, `ignored` ones are not of its layout."""
    found = ledger.summary(space.lake, name)
    parts = _parts(space, name, found).values()
    dated = [each for each in parts if each["least"]]
    return {
        "about": "source",
        "source": name,
        "status": found.get("status", "pending"),
        "since": found.get("since"),
        "days": len({day for each in parts for day, rows in each["days"].items() if rows["kept"]}),
        "first_event": min((each["least"] for each in dated), default=None),
        "last_event": max((each["greatest"] for each in dated), default=None),
        **ledger.total(each["rows"] for each in parts),
        "reasons": ledger.reasons(parts),
        "failed": sorted({each["path"] for each in found.get("failed", ())}),
        "ignored": _some(ledger.ignored(space.lake, name)),
    }


def of_days(space: OpenSpace, name: str) -> Iterator[dict[str, Any]]:
    """One row for each received day of a source, oldest first, with its status: pending, running, complete or failed.

    `undated` are rows without any readable instant, `unknown` are objects that do not say their day before they are
    read. A source that nobody ever looked at has no days.
    """
    found = ledger.summary(space.lake, name)
    days = found["days"] if "days" in found else _days_so_far(space, name, found)
    for day, rows in days.items():
        counts = {each: rows[each] for each in ledger.COUNTS}
        yield {"about": "day", "source": name, "day": day, "status": rows["status"]} | counts


def silent(space: OpenSpace, as_of: datetime) -> Iterator[str]:
    """A sentence for each source that was silent for longer than it may be, counted from the end of its last day."""
    for source in space.definition.sources:
        arrived = _last_arrival(space, source.name)
        if source.silent_after and (arrived is None or as_of - arrived > source.silent_after):
            last = "nothing ever arrived" if arrived is None else f"nothing arrived since {arrived:%Y-%m-%d}"
            yield f"source '{source.name}' is silent: {last}"


def _last_arrival(space: OpenSpace, name: str) -> datetime | None:
    """The end of the last day on which something of a source arrived that was kept."""
    parts = _parts(space, name, ledger.summary(space.lake, name)).values()
    days = [day for each in parts for day, rows in each["days"].items() if rows["kept"]]
    return datetime.fromisoformat(max(days)).replace(tzinfo=UTC) + timedelta(days=1) if days else None


def _some(paths: list[str]) -> dict[str, Any]:
    return {"objects": len(paths), "first": paths[:SHOWN]}


def _parts(space: OpenSpace, name: str, found: dict) -> dict[str, dict]:
    # A summary lists no parts while the source is being replayed.
    return found["parts"] if "parts" in found else ledger.entries(space.lake, name)


def _days_so_far(space: OpenSpace, name: str, found: dict) -> dict[str, dict]:
    # Reads Parquet's footers elsewhere, whose library takes longer to load than a look at a space takes.
    from populace.space import archive

    left = archive.survey(space, space.source(name), found["since"]).pending if found else {}
    return ledger.days(_parts(space, name, found).values(), left, found.get("failed", []))
