"""What is desired and what is acknowledged, by hand, each as one frame: for tests of what is sent."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from populace import sync
from populace.definitions import Audience, Delivery, Destination, Known, Trait
from populace.nodes import Count, Event, Exists, Last, Property

NOW = datetime(2024, 3, 10, tzinfo=UTC)
NEWEST = Known((("user_id", "last"), ("email", "last")))

CRM = Destination("crm", "webhook")
TO_CRM = (Delivery("crm"),)
PLAN = Trait("plan", Last(Event("Subscribed"), Property("plan")), deliveries=TO_CRM)
ORDERS = Trait("orders", Count(Event("Order")), deliveries=TO_CRM)
ELSEWHERE = Trait("secret_score", Last(Event("Scored"), Property("score")), deliveries=(Delivery("other"),))
BUYERS = Audience("buyers", Exists(Property("plan")), deliveries=TO_CRM)

IDS = ["profile_id", "collection", "id_type", "id_value", "added_at", "message_id"]


def external_ids(*rows: tuple) -> pl.LazyFrame:
    """(profile_id, id_type, id_value, day added, message_id) for users."""
    filled = [(row[0], "users", row[1], row[2], datetime(2024, 3, row[3], tzinfo=UTC), row[4]) for row in rows]
    return pl.LazyFrame(filled, schema=IDS, orient="row")


ANN_GOLD = ("trait", "plan", "p1", "user_id", "ann", '"gold"')
BO_BUYS = ("audience", "buyers", "p2", "email", "bo@x.org", "true")

PEOPLE = external_ids(("p1", "user_id", "ann", 1, "m1"), ("p2", "email", "bo@x.org", 1, "m2"))


def members(**audiences: list[str]) -> pl.LazyFrame:
    rows = [(name, each) for name, profiles in audiences.items() for each in profiles]
    return pl.LazyFrame(rows, schema={"audience": pl.String, "profile_id": pl.String}, orient="row")


def traits(schema: dict | None = None, **columns: list) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"profile_id": [f"p{each + 1}" for each in range(len(columns.get("plan", [])))], **columns}, schema
    )


def state(*rows: tuple) -> pl.DataFrame:
    """(kind, key, profile_id, id_type, id_value, value)."""
    filled = [(kind, key, "property", *rest) for kind, key, *rest in rows]
    return pl.DataFrame(filled, schema=sync.STATE, orient="row")


def desired(
    traits: list[Trait],
    audiences: list[Audience],
    table: pl.LazyFrame,
    of: pl.LazyFrame,
    people: pl.LazyFrame,
    by=NEWEST,
) -> pl.DataFrame:
    """Everything the destination should hold, as one frame; what has no identifier has rows without one."""
    found = sync.Desired(sync.identified(people, by), table, of)
    parts = [sync.STATE.to_frame()]
    for computation in sync.asked(CRM, [*traits, *audiences], "property"):
        wanted = found.of(computation)
        nobody = pl.DataFrame([(None,) * 4] * wanted.without, schema=sync.WANTED, orient="row")
        parts.append(stated(computation, pl.concat([wanted.rows.select(list(sync.WANTED)), nobody])))
    return pl.concat(parts)


def stated(computation: tuple, rows: pl.DataFrame) -> pl.DataFrame:
    named = {name: pl.lit(each) for name, each in zip(sync.COMPUTATION, computation, strict=True)}
    return rows.with_columns(**named).select(list(sync.STATE))


def split(*states: pl.DataFrame) -> list[sync.Computation]:
    rows = {row for each in states for row in each.select(sync.COMPUTATION).rows()}
    return sorted(sync.Computation(*row) for row in rows)


def part(frame: pl.DataFrame, computation: sync.Computation) -> pl.DataFrame:
    named = zip(sync.COMPUTATION, computation, strict=True)
    return frame.filter(*(pl.col(name) == value for name, value in named))


def held_part(held: pl.DataFrame, computation: sync.Computation) -> pl.DataFrame:
    found = part(held, computation)
    return (found if "at" in found.columns else found.with_columns(at=NOW)).select(list(sync.HELD))


def difference(
    wanted: pl.DataFrame, held: pl.DataFrame, salt: str = "salt", waiting: pl.DataFrame | None = None, **options: Any
) -> pl.DataFrame:
    """The records between two states."""
    found = [
        sync.changes(each, sync.Wanted(part(wanted, each).select(list(sync.WANTED))), held_part(held, each), **options)
        for each in split(wanted, held)
    ]
    return sync.recorded([each.records for each in found], salt, sync.QUEUE.to_frame() if waiting is None else waiting)


def acknowledge(held: pl.DataFrame, done: pl.DataFrame) -> pl.DataFrame:
    """The ledger after an exchange, as one frame."""
    parts = [stated(each, sync.acknowledge(held_part(held, each), part(done, each), NOW)) for each in split(held, done)]
    return pl.concat([sync.STATE.to_frame(), *parts])


def wanted(table: pl.LazyFrame, people: pl.LazyFrame = PEOPLE, **audiences: list[str]) -> list[tuple]:
    """What is desired of a table of traits and the members of audiences, as (key, id_type, id_value, value)."""
    found = desired([PLAN, ORDERS, ELSEWHERE], [BUYERS], table, members(**audiences), people)
    return sorted(found.select("key", "id_type", "id_value", "value").rows(), key=str)


def settled(records: pl.DataFrame, outcome: str = "delivered", *, in_doubt: bool = False) -> pl.DataFrame:
    more = {"outcome": outcome, "reason": "", "in_doubt": in_doubt, "attempts": 1, "sent": "{}", "reply": "HTTP 422"}
    return records.with_columns(pl.lit(value, sync.SETTLED[name]).alias(name) for name, value in more.items())


def forgotten(held: pl.DataFrame) -> pl.DataFrame:
    return held.with_columns(value=pl.lit(None, pl.String))


def parked(done: pl.DataFrame) -> pl.DataFrame:
    return sync.park(sync.LETTERS.to_frame(), sync.QUEUE.to_frame(), done, NOW)


def actions(desired: pl.DataFrame, held: pl.DataFrame, **options: Any) -> list[tuple]:
    records = difference(desired, held, "salt", **options)
    return sorted(records.select("action", "key", "id_value", "value").rows())
