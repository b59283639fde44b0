"""A few calls of users and their groups in an archive, definitions about both, and what a run makes of them."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from populace import identity
from populace.space import OpenSpace, open_space
from tests import driving
from tests.graphs import calls
from tests.tables import AS_OF

Written = str | dict[str, Any]  # a query, or a whole entry of a file
Definitions = Mapping[str, Written]

UNLIMITED = {"limit": "none"}
IDENTIFIERS = {"user_id": UNLIMITED, "email": UNLIMITED, "anonymous_id": UNLIMITED, "group_id": {}}


class Groups:
    """The tables of a run, told by what people and accounts are called in the calls.

    Queries may be given alone, or with other keys of their entry. `rules` are keys of `identity.yaml`, `settings` such
    of `space.yaml`.
    """

    def __init__(
        self,
        folder: Path,
        text: str | pl.DataFrame,
        *,
        audiences: Definitions | None = None,
        traits: Definitions | None = None,
        of_users: Definitions | None = None,
        user_traits: Definitions | None = None,
        rules: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        as_of: datetime = AS_OF,
    ) -> None:
        files = {
            "space": {"space": "dev", "lake": (folder / "lake").as_uri(), "window": "365 days", **(settings or {})},
            "sources": {"web": {"archive": (folder / "archive").as_uri()}},
            "identity": {"identifiers": IDENTIFIERS, **(rules or {})},
            "audiences": _entries(audiences, level="account") | _entries(of_users),
            "traits": _entries(traits, level="account") | _entries(user_traits),
        }
        self.space = opened(folder / "definitions", files)
        driving.put(self.space, "web", "a", calls(text) if isinstance(text, str) else text)
        self.run_id = driving.recomputed(self.space, as_of)

    def again(self, as_of: datetime) -> "Groups":
        """The same at another instant: in place of this run, if it is a later one."""
        self.run_id = driving.recomputed(self.space, as_of)
        return self

    def table(self, name):
        return driving.table(self.space, self.run_id, name)

    def accounts(self):
        """What accounts are called, in the order of their creation."""
        found = self.table("profiles").filter(collection="accounts").sort("created_at")
        return [self.called()[each] for each in found["profile_id"]]

    def links(self):
        """(user, account), sorted."""
        return sorted((self.called()[one], self.called()[other]) for one, other, *_ in self.table("links").rows())

    def members(self, key):
        found = self.table("memberships").filter(audience=key)
        return sorted(self.called()[each] for each in found["profile_id"])

    def values(self, key):
        """A computed trait of those who have one."""
        found = self.table("traits").select("profile_id", key).drop_nulls()
        return {self.called()[each]: value for each, value in found.rows()}

    def custom(self):
        """{account or user: {name: value}} of custom traits."""
        found: dict[str, dict] = {}
        for each, name, value, *_ in self.table("custom_traits").rows():
            found.setdefault(self.called()[each], {})[name] = json.loads(value)
        return found

    def called(self):
        """The identifier that each profile is named after."""
        ids = self.table("external_ids").select("collection", "id_type", "id_value").rows()
        return {identity.profile_id(*each): each[2] for each in ids}


def _entries(written: Definitions | None, **more: str) -> dict[str, Any]:
    whole = {key: each if isinstance(each, dict) else {"query": each} for key, each in (written or {}).items()}
    return {key: {**more, **each} for key, each in whole.items()}


def opened(folder: Path, files: Mapping[str, Any]) -> OpenSpace:
    """The space of these files; JSON is YAML, too."""
    (folder / "dev").mkdir(parents=True)
    for name, each in files.items():
        (folder / "dev" / f"{name}.yaml").write_text(json.dumps(each, ensure_ascii=False), encoding="utf-8")
    return open_space("dev", folder, {})


# --- a small company --------------------------------------------------------------------------

# Two users in g1, of whom one is in g2 as well; g3 has none.
HEADER = "type|user_id|anonymous_id|group_id|event|timestamp|traits|properties|context\n"
FOUR = [
    'group|u1||g1||d-90|{"tier":"business","seats":20,"tags":["a","b"]}||',
    "group|u2||g1||d-90|||",
    'group|u2||g2||d-90|{"tier":"trial","seats":3}||',
    'group|anonymous||g3||d-90|{"tier":"business"}||',
]


def company(*rows):
    return HEADER + "\n".join([*FOUR, *rows])


def track(user, name, when, *, group="", **properties):
    pairs = ",".join(f'"{key}":{value}' for key, value in properties.items())
    context = f'{{"groupId":"{group}"}}' if group else ""
    return f"track|{user}|||{name}|{when}||{{{pairs}}}|{context}"


def identify(user, traits):
    return f"identify|{user}||||d-80|{traits}||"
