"""The identity graph of a few calls, written as a pipe table."""

import json
from datetime import timedelta

import polars as pl

from populace import identity
from populace.space import recompute
from tests import driving
from tests.tables import AS_OF, instant

TRAIT_PLACES = {"traits": "identify", "properties": "track"}


def calls(text):
    """Rows of the raw layout from a pipe table, one second apart in the order written; `email` goes into traits."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    header, rows = lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    return pl.DataFrame(
        {
            "message_id": [f"e{number}" for number in range(1, len(rows) + 1)],
            "type": [row.get("type") or "identify" for row in rows],
            "event": [row.get("event") or "E" for row in rows],
            "group_id": [row.get("group_id") or None for row in rows],
            "user_id": [row.get("user_id") or None for row in rows],
            "anonymous_id": [row.get("anonymous_id") or None for row in rows],
            "timestamp": [
                instant(row["timestamp"]) if "timestamp" in header else AS_OF + timedelta(seconds=number - 1000)
                for number, row in enumerate(rows)
            ],
            "traits": [_traits(row) for row in rows],
            "context": [row.get("context") or None for row in rows],
            "properties": [row.get("properties") or None for row in rows],
        }
    ).with_columns(pl.col("event", "group_id", "user_id", "anonymous_id", "context", "properties").cast(pl.String))


def _traits(row):
    named = {name: row[name].strip('"') for name in ("email", "app_id") if row.get(name)}
    return row.get("traits") or (json.dumps(named) if named else None)


class Graph:
    """The identity tables of a run, in short."""

    def __init__(self, folder, frame, *, as_of=AS_OF, identity=driving.IDENTITY):
        self.space = driving.space_in(folder, identity=identity)
        driving.put(self.space, "web", "a", frame)
        driving.replay_all(self.space, as_of)
        run = recompute.plan(self.space, as_of)
        recompute.resolve_identities(self.space, run)  # what follows costs time, and adds nothing to the graph
        self.run_id = run.run_id

    def table(self, name):
        return driving.table(self.space, self.run_id, name)

    def profiles(self):
        """Each person as the sorted values of their identifiers, in the order of their creation."""
        ids = self.table("external_ids").group_by("profile_id").agg(pl.col("id_value").sort().str.join(" "))
        found = (
            self.table("profiles").filter(collection="users").join(ids, on="profile_id", how="left").sort("created_at")
        )
        return found["id_value"].to_list()

    def merges(self):
        """(what was merged away, what into), by the identifiers that profiles are called after."""
        named = self._names()
        return [(named[loser], named[winner]) for loser, winner, *_ in self.table("merges").sort("merged_at").rows()]

    def names(self):
        """What each profile is called after, in the order of their creation."""
        named = self._names()
        return [named[each] for each in self.table("profiles").sort("created_at")["profile_id"]]

    def _names(self):
        ids = self.table("external_ids").select("collection", "id_type", "id_value").rows()
        return {identity.profile_id(*each): each[2] for each in ids}


def id_values(found, id_type):
    return found.table("external_ids").filter(id_type=id_type).select("id_value", "raw_value").rows()
