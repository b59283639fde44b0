"""A shop whose orders are events and whose customers are rows of a database, and what a run makes of both."""

from dataclasses import replace

import pytest

from populace.definitions import Place, Sql
from populace.errors import DefinitionError
from populace.lake import runs
from populace.space import snapshots
from populace.sql import rows
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF, table

AT = Place("traits.yaml", 7)
TWICE_A_DAY = "0 */12 * * *"
TICK = AS_OF  # an instant of that schedule


def entry(key="orders", statement="select 1", connection="shop", schedule=TWICE_A_DAY, **more):
    return Sql(key, connection, statement, schedule, at=AT, **more)


def over_lake(statement, key="orders", schedule=None, **more):
    return entry(key, statement, "lake", schedule, **more)


def calls():
    """u1 is known by two emails as well, u2 by user_id alone, and somebody else by a browser."""
    order = {"type": "track", "event": "Order Completed"}
    told = [
        {"user_id": "u1", "type": "identify", "traits": '{"email": "ada@x.org", "plan": "pro"}'},
        {"user_id": "u1", "type": "identify", "traits": '{"email": "lovelace@x.org"}'},
        {"user_id": "u1", **order, "properties": '{"total": 20, "item": {"sku": "s1"}, "mixed": 1}'},
        {"user_id": "u2", **order, "properties": '{"total": 7.5, "mixed": "two"}'},
        {"user_id": None, "anonymous_id": "a1", **order, "properties": '{"total": 1, "profile_id": "odd"}'},
    ]
    return [{"message_id": f"m{number}", "received_at": NOON} | each for number, each in enumerate(told)]


class Shop:
    """A space over `calls`, with some statements, whose database answers at the instants that a test says."""

    def __init__(self, folder, sql, **more):
        self.folder = folder
        self.space = driving.space_in(folder, sql=sql, connections=(("shop", "${SHOP}"),), **more)
        driving.put(self.space, "web", "a", called(*calls()))
        driving.replay_all(self.space, AS_OF)

    def with_sql(self, *sql):
        self.space = replace(self.space, definition=replace(self.space.definition, sql=sql))

    def answer(self, text, at=TICK, key="orders"):
        (statement,) = [each for each in self.space.definition.sql if each.key == key]
        found = table(text)
        chosen = rows.columns(found.columns, statement)
        known = rows.typed(found, chosen).rename({called: name for name, called in chosen.names.items()})
        snapshots.keep(self.space, statement, at, known, self.folder)

    def run(self, as_of=AS_OF):
        self.run_id = driving.run(self.space, as_of)
        return self

    def table(self, name):
        return driving.table(self.space, self.run_id, name)

    def values(self, *columns):
        """What people have, by user_id or else by another identifier."""
        named = self.table("external_ids").sort("id_type", "id_value", descending=True)
        named = named.unique("profile_id", keep="first", maintain_order=True).select("profile_id", "id_value")
        found = self.table("traits").join(named, on="profile_id")
        return {row[0]: row[1:] for row in found.select("id_value", *columns).rows()}

    def counts(self, key="orders"):
        told = runs.manifest(self.space.lake, self.run_id)["sql"][key]["counts"]
        return {name: each for name, each in told.items() if name != "sql" and each}

    def who(self, id_value):
        return self.table("external_ids").filter(id_value=id_value).row(0, named=True)

    def refused(self, error=DefinitionError):
        """Why a run that publishes nothing ended."""
        with pytest.raises(error) as caught:
            self.run()
        assert runs.current(self.space.lake) is None
        return str(caught.value)
