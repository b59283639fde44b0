"""What the product makes of calls and definitions: all that the generative tests of accounts know of the engine."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl

from populace import query
from populace.definitions import Audience, Trait
from populace.loading import levels
from populace.space import OpenSpace
from tests import driving
from tests.generative.account_oracle import People
from tests.generative.archives import SCHEMA

SOURCES = ("app", "web")


class Found(NamedTuple):
    """Users as the sets of their identifiers, accounts as their ids; `traits` and `members` by key.

    Accounts and links are told with the message that made them.
    """

    accounts: dict[str, str]
    links: dict[tuple, str]
    custom: dict[Any, dict[str, Any]]
    traits: dict[str, dict[Any, Any]]
    members: dict[str, set]


def computed(people: People, definitions: Iterable[Trait | Audience], as_of: datetime, *, objects: int = 1) -> Found:
    """Everything of one run over the calls, all the way from an archive.

    The calls of each source come in so many objects, each in a replay of its own that repeats a call of the one before.
    """
    with TemporaryDirectory(prefix="populace-") as folder:
        space = _space(Path(folder), people, list(definitions))
        for number in range(objects):
            for source in SOURCES:
                rows = [_row(each) for each in people.calls if each["source"] == source]
                again = rows[number - 1 : number]
                driving.put(space, source, f"{number}", pl.DataFrame(rows[number::objects] + again, schema=SCHEMA))
            driving.replay_all(space, as_of)
        return _found(space, driving.run(space, as_of))


def _space(folder: Path, people: People, definitions: list[Trait | Audience]) -> OpenSpace:
    rules = replace(driving.IDENTITY, link_ttl=people.ttl, link_from_context=people.from_context)
    more = {"include_anonymous": people.include_anonymous}
    opened = driving.space_in(folder, sources=SOURCES, identity=rules, **more)
    read = [_as_loaded(each) for each in definitions]
    defined = replace(
        opened.definition,
        traits=tuple(each for each in read if isinstance(each, Trait)),
        audiences=tuple(each for each in read if isinstance(each, Audience)),
    )
    assert not [problem for each in defined.computed for problem in levels.problems(each, defined)]
    return replace(opened, definition=defined)


def _as_loaded(definition: Trait | Audience) -> Trait | Audience:
    """With `events_of: account` put into the query."""
    if definition.events_of == "users":
        return definition
    return replace(definition, query=query.attributed(definition.query))


def _row(call: dict[str, Any]) -> dict[str, Any]:
    same = ("message_id", "type", "event", "timestamp", "received_at")
    context = None if call["context_group"] is None else _json({"groupId": call["context_group"]})
    return {name: call[name] for name in same} | {
        "user_id": call["user"],
        "anonymous_id": call["anonymous"],
        "group_id": call["group"],
        "properties": _json(call["p"]),
        "traits": _json(call["traits"]),
        "context": context,
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _found(space: OpenSpace, run_id: str) -> Found:
    def table(name: str) -> pl.DataFrame:
        return driving.table(space, run_id, name)

    ids: dict[str, Any] = {}
    for profile, id_type, value in table("external_ids").select("profile_id", "id_type", "id_value").rows():
        ids[profile] = value if id_type == "group_id" else ids.get(profile, frozenset()) | {(id_type, value)}
    made = table("external_ids").filter(collection="accounts").select("profile_id", "message_id").rows()
    accounts = {ids[profile]: message_id for profile, message_id in made}
    linked = table("links").select("profile_id", "account_id", "message_id").rows()
    links = {(ids[user], ids[account]): message_id for user, account, message_id in linked}
    custom: dict[Any, dict] = {}
    for profile, name, value in table("custom_traits").select("profile_id", "name", "value").rows():
        custom.setdefault(ids[profile], {})[name] = json.loads(value)
    traits = table("traits")
    values = {
        key: {ids[profile]: value for profile, value in traits.select("profile_id", key).drop_nulls().rows()}
        for key in traits.columns
        if key != "profile_id"
    }
    members: dict[str, set] = {each.key: set() for each in space.definition.audiences}
    for key, profile in table("memberships").select("audience", "profile_id").rows():
        members[key].add(ids[profile])
    return Found(accounts, links, custom, values, members)
