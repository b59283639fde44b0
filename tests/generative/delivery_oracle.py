"""What a destination should hold of a run, in plain Python: the tables are lists of rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Who = tuple[str, str]  # id_type, id_value
Told = tuple[str, Who]  # key of a trait or audience, who


def told(external_ids: Iterable[Mapping], types: Sequence[tuple[str, str]], is_each: bool) -> dict[str, list[Who]]:
    """By which identifiers each profile is told."""
    found: dict[str, dict[str, list]] = {}
    for row in external_ids:
        if row["collection"] == "users":
            found.setdefault(row["profile_id"], {}).setdefault(row["id_type"], []).append(row)
    people: dict[str, list[Who]] = {}
    for profile, by_type in found.items():
        for id_type, strategy in types:
            for row in chosen(by_type.get(id_type, []), strategy):
                people.setdefault(profile, []).append((id_type, row["id_value"]))
            if profile in people and not is_each:
                break
    return people


def chosen(rows: list[Mapping], strategy: str) -> list[Mapping]:
    """Of the identifiers of one type, those that count."""
    if strategy == "all" or not rows:
        return rows
    moments = [(row["added_at"], row["message_id"]) for row in rows]
    moment = min(moments) if strategy == "first" else max(moments)
    at_once = [row for row, at in zip(rows, moments, strict=True) if at == moment]
    return [min(at_once, key=lambda row: row["id_value"])]


def desired(
    people: Mapping[str, list[Who]], traits: Iterable[Mapping], memberships: Iterable[Mapping], keys: Iterable[str]
) -> tuple[dict[Told, Any], int]:
    """What is told of these keys, and how many values nobody can be told."""
    values = [(key, row["profile_id"], row[key]) for row in traits for key in keys if row.get(key) is not None]
    values += [(row["audience"], row["profile_id"], True) for row in memberships if row["audience"] in keys]
    found = {(key, who): value for key, profile, value in values for who in people.get(profile, [])}
    return found, sum(profile not in people for _, profile, _ in values)
