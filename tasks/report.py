"""What people see of a run in Prefect: tables and a page of numbers, no personal data in any of them."""

from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from populace import sync
from populace.errors import PopulaceError
from populace.lake import ledger
from tasks import pictures

LONGEST = 2_000  # characters of what was sent or replied


def is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Try again what the network did; what a person must mend stays as it is."""
    return not isinstance(state.result(raise_on_failure=False), PopulaceError)


def replayed(space: str, summaries: dict[str, dict]) -> None:
    """A table of what each source holds."""
    rows = [
        {"source": name, "status": found["status"], "since": found["since"], "days": len(found["days"])}
        | found["rows"]
        | {"failed objects": len(found.get("failed", ())), "rejected because": _reasons(found)}
        for name, found in summaries.items()
    ]
    create_table_artifact(rows, key=f"{key(space)}-replay", description="Rows of the lake by source")


def _reasons(found: dict) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in ledger.reasons(found["parts"].values()).items())


def resolved(space: str, run_id: str, sizes: dict[str, int], violations: dict[str, int]) -> None:
    """A picture of how many identifiers profiles have, and a table of the rules that fired."""
    picture = pictures.bars(f"{space}: identifiers of a profile", "profiles", sizes)
    create_image_artifact(pictures.as_uri(picture), key=f"{key(space)}-identity", description=f"Profiles of {run_id}")
    rows = [{"kind": kind, "violations": count} for kind, count in violations.items()]
    create_table_artifact(rows, key=f"{key(space)}-violations", description=f"Rules of identity that fired, {run_id}")


def published(space: str, manifest: dict, *, is_current: bool) -> None:
    """A page about a run: what it was made of and what it holds."""
    before, stale = manifest["before"], ", ".join(manifest["stale"])
    facts = [
        f"Run `{manifest['run_id']}` is {'current' if is_current else 'history: a later run is current'}.",
        f"Changes are counted from run `{before}`." if before else "There was no run before it.",
        f"Not completely replayed: {stale}." if stale else "",
    ]
    lines = [
        f"## {space} as of {manifest['as_of'][:19].replace('T', ' ')} UTC",
        "  \n".join(filter(None, facts)),
        _table("Audience", "Members", manifest["audiences"]),
        _table("Trait", "Profiles", manifest["traits"]),
        _table("Table", "Rows", manifest["tables"]),
    ]
    if manifest["undated"]:
        counts = {f"{each['value']}, {each['counted']}": each["count"] for each in manifest["undated"]}
        lines.append(_table("Compared with dates, though they are none", "Count", counts))
    create_markdown_artifact("\n\n".join(lines), key=f"{key(space)}-run", description=manifest["run_id"])


def _table(title: str, unit: str, counts: dict[str, int]) -> str:
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in counts.items())
    return f"| {title} | {unit} |\n|---|--:|\n{rows}"


def synced(space: str, accounts: list[dict]) -> None:
    """A table of what became of every record, by destination: every step of the funnel, also where nothing is in it."""
    rows = [
        {"destination": each["destination"], "status": each["status"]}
        | sync.funnel(each)
        | {"waiting since": each.get("waiting_since", ""), "reason": each.get("reason", "")}
        for each in accounts
    ]
    create_table_artifact(rows, key=f"{key(space)}-sync", description="What became of every record, by destination")


def sampled(space: str, samples: list[dict]) -> None:
    """A table of a few requests and answers, which hold no personal data; none where there are none."""
    named = ("destination", "outcome", "reason", "endpoint", "status", "request", "reply")
    rows = [{name: _short(each.get(name)) for name in named} for each in samples]
    if rows:
        create_table_artifact(rows, key=f"{key(space)}-samples", description="Some requests and answers, redacted")


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def key(space: str) -> str:
    """What the keys of a space's artifacts begin with; a key takes no underscore."""
    return f"populace-{space.replace('_', '-')}"
