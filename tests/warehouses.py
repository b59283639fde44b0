"""Real databases that a delivery writes to, and how tests read them: SQLite, and PostgreSQL where it is installed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from populace.definitions import Bounds, Delivery, Destination
from populace.destinations.protocol import Origin
from populace.space import OpenSpace
from tasks.warehouse import Sender
from tests.deliveries import QUICK, open_space

SPACE = "dev"


@dataclass
class Warehouse:
    """A database of its own; the tables of the space are in one schema of it, or begin with its name."""

    url: str
    schema: str = f"populace_{SPACE}"
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgres")

    def table(self, name: str) -> str:
        return f"{self.schema}.{name}" if self.is_postgres else f"{self.schema}_{name}"

    @property
    def users(self) -> str:
        return self.table("users")

    @property
    def members(self) -> str:
        return self.table("audience_members")

    def run(self, *statements: str) -> list[tuple]:
        """Execute statements; returns the rows of the last one."""
        if not self.is_postgres:
            with closing(sqlite3.connect(urlsplit(self.url).path)) as connection, connection:
                return [connection.execute(each).fetchall() for each in statements][-1]
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.url) as connection, connection.cursor() as cursor:
            for each in statements:
                cursor.execute(each)
            rows = pl.DataFrame(cursor.fetch_arrow()).rows() if statements[-1].startswith("SELECT") else []
            connection.commit()
            return rows

    def rows(self, table: str, *columns: str) -> list[tuple]:
        """These columns of a table, sorted."""
        names = ", ".join(f'"{each}"' for each in columns)
        return sorted(self.run(f"SELECT {names} FROM {self.table(table)}"), key=str)

    def values(self, column: str) -> dict[str, Any]:
        rows = self.run(f'SELECT id_value, "{column}" FROM {self.users}')
        return dict(rows)

    def of(self, audience: str) -> list[str]:
        rows = self.run(f"SELECT id_value FROM {self.members} WHERE audience = '{audience}' ORDER BY 1")
        return [row[0] for row in rows]

    def sender(self, run_id: str = "run-1", as_of: str = "2024-03-01T00:00:00Z", **bounds: Any) -> Sender:
        """A sender to it, for what deliveries do not ask of one."""
        origin = Origin(SPACE, "warehouse", run_id, as_of)
        return Sender({"url": self.url, **self.settings}, origin, QUICK, Path(), Bounds(**bounds))


def database(server: Warehouse) -> Iterator[Warehouse]:
    """A schema of our own would not do: the destination chooses its name. So the tables go when the test ends."""
    yield server
    server.run(f"DROP SCHEMA IF EXISTS {server.schema} CASCADE")


def delivering_to(warehouse: Warehouse, folder: Path, *keys: str, forms: tuple[str, ...] = ("",)) -> OpenSpace:
    """A space that delivers to it, each key in these forms."""
    settings = (("url", warehouse.url), *warehouse.settings.items())
    opened = open_space(folder / "lake", Destination("warehouse", "warehouse", settings), *keys)
    ways = tuple(Delivery("warehouse", each) for each in forms)
    definition = replace(
        opened.definition,
        traits=tuple(replace(each, deliveries=ways) for each in opened.definition.traits),
        audiences=tuple(replace(each, deliveries=ways) for each in opened.definition.audiences),
    )
    return OpenSpace(definition, opened.lake)


def records(form: str, *rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    """Records as a delivery sends them, each (action, key, id_value, value); a key in -s is an audience."""
    told = [
        (action, f"{action} {key} {each} {value}", "audience" if key.endswith("s") else "trait", key, form, each, value)
        for action, key, each, value in rows
    ]
    names = ["action", "message_id", "kind", "key", "form", "id_value", "value"]
    frame = pl.DataFrame(told, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_columns(id_type=pl.lit("user_id"), profile_id="of " + pl.col("id_value"))


def tell(warehouse: Warehouse, number: int, told: pl.DataFrame) -> list[str]:
    """Send records of the run of that day; their outcomes."""
    with warehouse.sender(f"run-{number}", f"2024-03-{number:02d}T00:00:00Z") as sender:
        return [each.outcome for _, verdicts in sender.send(told) for each in verdicts]
