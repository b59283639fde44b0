"""SQL traits from a real PostgreSQL to a warehouse: the examples of the manual, through the commands and flows."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml
from prefect.states import Failed

from populace.errors import StatementError, Transient
from populace.space import open_space, showing
from tasks.statements import is_worth_another_try
from tests.companies import ROOT, Answer, Terminal, environment, terminal
from tests.slicing import called
from tests.warehouses import Warehouse

SPACE = """
space: dev
lake: {lake}
window: 2000 days
"""
ORDERS = [("u1", 20.0, True), ("u1", 22.5, True), ("u2", 5.0, True), ("u2", 9.0, False), ("u9", 1.0, True)]


def examples() -> list[dict]:
    """The definition files that the manual shows of SQL traits, the first of each a comment."""
    text = (ROOT / "docs" / "definitions.md").read_text()
    section = text.partition("## Traits from SQL\n")[2].partition("## destinations.yaml")[0]
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


# T-30: a user of its own, which can only read.
READER = "populace_reader"
GRANTED = (
    f"DO $$BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
    f"GRANT USAGE ON SCHEMA public TO {READER}",
    f"GRANT SELECT ON orders, customers TO {READER}",
)


class Shop:
    """A space with the manual's examples, over a small archive and a database of its own."""

    def __init__(self, folder: Path, url: str, typing: Terminal) -> None:
        self.folder = folder
        self.database = Warehouse(url)
        self.typing = typing
        connections, of_database, _of_accounts, of_lake = examples()
        self.traits = of_database | of_lake
        audiences = {"big": {"query": "trait('spent') > 40", "destinations": ["warehouse"]}}
        archive = {"archive": (folder / "archive").as_uri(), "since": datetime(2024, 1, 1, tzinfo=UTC).date()}
        self.files = {
            "space.yaml": {**yaml.safe_load(SPACE.format(lake=(folder / "lake").as_uri())), **connections},
            "traits.yaml": self.traits,
            "audiences.yaml": audiences,
            "sources.yaml": {"web": archive},
            "destinations.yaml": {"warehouse": {"kind": "warehouse", "url": f"sqlite:{folder / 'warehouse.db'}"}},
        }
        self.environment = {"SHOP_DATABASE": url.replace("//populace@", f"//{READER}@")}
        self.write()

    def write(self) -> None:
        (self.folder / "definitions" / "dev").mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (self.folder / "definitions" / "dev" / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def type(self, *arguments: str) -> Answer:
        definitions = ("--definitions", str(self.folder / "definitions"))
        return self.typing.type(*arguments, *definitions, **self.environment)

    def recompute(self) -> Answer:
        answer = self.type("recompute", "dev", "--json")
        assert (answer.code, answer.err) == (0, "")
        return answer

    def values(self) -> dict[str, tuple]:
        """What the warehouse holds of each person."""
        names = ("spent", "orders_paid", "ltv", "latest_category", "largest_order", "big")
        columns = ", ".join(f'"{each}"' for each in names)
        table = Warehouse(f"sqlite://{self.folder}/warehouse.db").run(f"SELECT id_value, {columns} FROM {self.users}")
        return {row[0]: row[1:] for row in table}

    users = "populace_dev_users"

    def next_instant(self) -> None:
        """As if the next instant of the schedule had come: the answers that there are belong to the one before."""
        for file in sorted((self.folder / "lake" / "sql").glob("*/*.json")):
            stamp, _, fingerprint = file.name.partition("-")
            file.rename(file.with_name(f"{int(stamp[:8]) - 1}{stamp[8:]}-{fingerprint}"))

    def open(self):
        return open_space("dev", self.folder / "definitions", self.environment)

    def pointers(self) -> list[Path]:
        return sorted((self.folder / "lake" / "runs" / "published").glob("*.json"))


@pytest.fixture(scope="module")
def typing(prefect_server) -> Iterator[Terminal]:
    settings = {name: value for name, value in prefect_server.environment.items() if name.startswith("PREFECT_")}
    with terminal(environment(settings)) as found:
        yield found


@pytest.fixture
def shop(postgres_url, typing, tmp_path) -> Iterator[Shop]:
    order = {"event": "Order Completed", "received_at": datetime(2026, 1, 1, tzinfo=UTC)}
    told = [("u1", "books", 20), ("u1", "books", 22.5), ("u2", "toys", 5), ("u3", "toys", 1)]
    calls = [
        {"message_id": f"m{number}", "user_id": user, **order, "timestamp": order["received_at"],
         "properties": json.dumps({"category": category, "total": total})}
        for number, (user, category, total) in enumerate(told)
    ]  # fmt: skip
    calls.append({"message_id": "i", "user_id": "u3", "type": "identify", "traits": '{"email": "ada@x.org"}',
                  "received_at": order["received_at"], "timestamp": order["received_at"]})  # fmt: skip
    (tmp_path / "archive").mkdir()
    called(*calls).write_parquet(tmp_path / "archive" / "a.parquet")
    server = Warehouse(postgres_url)
    server.run("DROP TABLE IF EXISTS orders, customers")
    found = Shop(tmp_path, postgres_url, typing)
    rows = ", ".join(f"('{user}', {total}, {paid})" for user, total, paid in ORDERS)
    server.run(
        "CREATE TABLE orders (customer text, total double precision, paid boolean)",
        f"INSERT INTO orders VALUES {rows}",
        "CREATE TABLE customers (email text, worth integer)",
        "INSERT INTO customers VALUES ('Ada@x.org', 7), ('new@x.org', 8)",
        *GRANTED,
    )
    for destination in found.files["destinations.yaml"].values():
        destination["enabled"] = True
        destination["identifiers"] = ["user_id", "email"]
    for key in ("ltv", "tastes"):
        found.traits[key]["destinations"] = ["warehouse"]
    found.write()
    yield found
    server.run("DROP TABLE IF EXISTS orders, customers")


FIRST = {
    "u1": (42.5, 2, None, "books", 22.5, 1),
    "u2": (5, 1, None, "toys", 5, None),
    "u3": (None, None, 7, "toys", 1, None),
    "u9": (1, 1, None, None, None, None),
    "new@x.org": (None, None, 8, None, None, None),
}


def outcomes(answer: Answer) -> dict[str, int]:
    (row,) = [row for row in answer.rows if row["about"] == "destination"]
    return {name: row[name] for name in ("delivered", "unchanged") if name in row}


def refreshed(shop: Shop) -> subprocess.CompletedProcess:
    code = "import sys; from flows.refresh import refresh; refresh('dev', definitions=sys.argv[1])"
    settings = {name: value for name, value in shop.prefect.items() if name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-c", code, str(shop.folder / "definitions")], cwd=ROOT, check=False, timeout=180,
        env=environment(settings, shop.environment), capture_output=True, text=True,
    )  # fmt: skip


def test_from_a_database_to_a_destination(shop, prefect_server):
    shop.prefect = prefect_server.environment
    # Before anything: look.
    looked = shop.type("preview", "dev", "orders", "--json")
    assert looked.code == 0, looked
    assert looked.rows[0]["columns"] == {"user_id": "String", "spent": "Float64", "orders_paid": "Int64"}
    assert (looked.rows[0]["run_id"], looked.rows[0]["unknown"]) == (None, 3)
    assert not (shop.folder / "lake").exists()

    # Everything travels once.
    assert outcomes(shop.recompute())["delivered"] == 15
    assert shop.values() == FIRST
    assert showing.show(shop.open(), "user_id", "u9")["traits"] == {"spent": 1, "orders_paid": 1}

    # T-42: whom the run knows.
    looked = shop.type("preview", "dev", "spent")
    assert "✓" in looked.out
    assert "?" in looked.out
    status = [row for row in shop.type("status", "dev", "--json").rows if row["about"] == "run"]
    assert {key: each["counts"]["created"] for key, each in status[0]["sql"].items()} == {
        "orders": 1, "ltv": 1, "tastes": 0,
    }  # fmt: skip
    assert "SQL" in shop.type("status", "dev").out

    # T-38: nothing has changed, and nothing is asked or sent.
    shop.database.run("ALTER TABLE orders RENAME TO hidden")
    assert outcomes(shop.recompute()).get("delivered", 0) == 0
    shop.database.run("ALTER TABLE hidden RENAME TO orders")

    # T-38, T-39: exactly the difference travels; who is gone has no value.
    shop.database.run(
        "UPDATE orders SET total = 30 WHERE total = 22.5",
        "DELETE FROM orders WHERE customer = 'u9'",
        "DELETE FROM customers WHERE email = 'new@x.org'",
    )
    shop.next_instant()
    ended = refreshed(shop)
    assert ended.returncode == 0, ended.stderr
    report = json.loads((shop.folder / "lake/ledger/warehouse/report.json").read_text())
    assert report["delivered"] == 4  # spent of u1; spent and orders_paid of u9; ltv of new@x.org
    assert shop.values() == FIRST | {
        "u1": (50, 2, None, "books", 22.5, 1),
        "u9": (None,) * 6,
        "new@x.org": (None,) * 6,
    }

    # The same answers at the next instant: no run.
    before = shop.pointers()
    shop.next_instant()
    assert refreshed(shop).returncode == 0
    assert shop.pointers() == before
    assert len(list((shop.folder / "lake/sql/orders").glob("*.json"))) == 3

    # T-47: what breaks a rule publishes nothing, and costs the other statements nothing.
    shop.next_instant()
    shop.database.run("INSERT INTO orders VALUES (NULL, 1, true)", "UPDATE customers SET worth = 9")
    failed = shop.type("recompute", "dev", "--json")
    assert failed.code == 1
    assert "traits.yaml:1: 'orders': user_id is null in 1 of 3 rows; leave them out with WHERE" in failed.err
    assert shop.pointers() == before
    assert len(list((shop.folder / "lake/sql/ltv").glob("*.json"))) == 4
    shop.database.run("DELETE FROM orders WHERE customer IS NULL")
    assert outcomes(shop.recompute())["delivered"] == 1


def test_t41_a_database_says_who_belongs_to_which_account(shop):
    shop.files["traits.yaml"] = {
        "companies": {
            "level": "account",
            "sql": {
                "connection": "shop",
                "query": "select case when total > 10 then 'acme' else 'tiny' end as group_id, customer as user_id, "
                "3 as seats from orders where paid group by 1, 2",
            },
            "destinations": [{"warehouse": "group"}],
        },
        "company_total": {
            "level": "account",
            "query": "event('Order Completed').sum(property('total'))",
            "destinations": [{"warehouse": "group"}],
        },
    }
    shop.files["audiences.yaml"] = {"seated": {"query": "account.trait('seats') = 3", "destinations": ["warehouse"]}}
    shop.write()
    looked = shop.type("preview", "dev", "companies", "--json")
    assert looked.rows[0]["columns"] == {"group_id": "String", "user_id": "String", "seats": "Int64"}
    assert (looked.rows[0]["rows"], looked.rows[0]["links"], looked.rows[0]["unknown"]) == (3, 3, 2)
    shop.recompute()
    tables = Warehouse(f"sqlite://{shop.folder}/warehouse.db")
    accounts = tables.run("SELECT id_value, seats, company_total FROM populace_dev_accounts ORDER BY 1")
    assert accounts == [("acme", 3, 42.5), ("tiny", 3, 5)]
    assert {row[0] for row in tables.run(f"SELECT id_value FROM {shop.users} WHERE seated = 1")} == {"u1", "u2", "u9"}
    shown = shop.type("show", "dev", "group_id:tiny", "--json").rows[0]["links"]["users"]
    assert sorted(each["identifiers"]["user_id"][0] for each in shown["first"]) == ["u2", "u9"]


def test_history_asks_no_database(shop):
    shop.recompute()
    shop.database.run("DROP TABLE orders")
    answer = shop.type("backfill", "dev", "--since", "2026-01-02", "--until", "2026-01-03", "--json")
    assert answer.code == 0, answer
    (first, _) = answer.rows
    traits = pl.read_parquet(shop.folder / "lake" / "runs" / first["run_id"] / "traits.parquet")
    assert set(traits.columns) == {"profile_id", "latest_category", "largest_order"}
    assert traits.height == 3


def test_what_is_wrong_with_a_statement_or_an_address_is_told_without_secrets(shop):
    shop.files["traits.yaml"]["orders"]["sql"]["query"] = "select user_id, nothing as x from orders"
    shop.write()
    answer = shop.type("preview", "dev", "orders")
    assert answer.code == 1
    assert "traits.yaml:1: 'orders'" in answer.err
    assert shop.environment["SHOP_DATABASE"] not in answer.err
    del shop.environment["SHOP_DATABASE"]
    answer = shop.type("preview", "dev", "orders")
    assert answer.code == 1
    assert "traits.yaml:1: 'orders': connection 'shop': SHOP_DATABASE is not set; export it, or keep it" in answer.err
    assert "in the Prefect Secret block 'shop-database'" in answer.err


@pytest.mark.parametrize(("error", "is_worth_it"), [(Transient("gone"), True), (StatementError("wrong"), False)])
def test_only_what_the_network_did_is_tried_again(error, is_worth_it):
    assert is_worth_another_try(None, None, Failed(data=error)) is is_worth_it
