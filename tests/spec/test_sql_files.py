"""Statements and connections as they are written in definition files."""

import pytest

from tests.shops import TWICE_A_DAY

WRITTEN = """
orders:
  sql: {connection: shop, query: "select user_id, ltv from customers"}
"""
SPACE = "space: dev\nlake: file:///lakes/dev\nconnections: {shop: '${SHOP}'}\n"


def test_t37_a_database_is_asked_twice_a_day_if_nothing_is_said(load):
    space = load({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN})
    (found,) = space.sql
    assert (found.key, found.schedule, found.most_rows) == ("orders", TWICE_A_DAY, 25_000_000)
    audiences = {"dev/audiences.yaml": "a: {query: \"trait('ltv') > 1 AND trait('orders') = 1\"}"}
    (warning,) = load({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN} | audiences).warnings
    assert warning.endswith("'a' reads 'ltv', which must be a custom trait, or a column of SQL")


def test_a_statement_that_must_not_run_is_told_by_check(problems):
    written = 'orders: {sql: {connection: lake, query: "delete from events"}}'
    (found,) = problems({"dev/space.yaml": SPACE, "dev/traits.yaml": written})
    assert found.startswith("traits.yaml:1: 'orders': ")


def test_an_audience_with_the_key_of_an_entry_is_refused(problems):
    audiences = {"dev/audiences.yaml": "orders: {query: \"trait('ltv') > 1\"}"}
    (found,) = problems({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN} | audiences)
    assert "'orders' is also a trait" in found


@pytest.mark.parametrize("url", ["sqlite:w.db", "https://example.com", "file:///tmp/a", "dbname=shop"])
def test_a_connection_leads_to_postgresql(problems, url):
    text = f"space: dev\nlake: file:///l\nconnections:\n  w: {url}\n"
    assert problems({"dev/space.yaml": text}) == [
        "space.yaml:4: 'w': the URL of a connection begins with postgresql://, or is a variable such as ${NAME}"
    ]


def test_no_connection_is_called_lake(problems):
    text = "space: dev\nlake: file:///l\nconnections:\n  lake: postgresql://me@db/shop\n"
    assert problems({"dev/space.yaml": text}) == [
        "space.yaml:4: 'lake' is the space's own lake, for statements over what Populace has; call it otherwise"
    ]


@pytest.mark.parametrize("url", ["postgresql://me@db/shop", "${WAREHOUSE_URL}"])
def test_a_statement_is_checked_for_the_database_that_runs_it(problems, url):
    space = f"space: dev\nlake: file:///l\nconnections: {{w: '{url}'}}\n"
    traits = "t:\n  sql:\n    connection: w\n    query: SELECT id FROM a FOR UPDATE\n"
    assert problems({"dev/space.yaml": space, "dev/traits.yaml": traits}) == [
        "traits.yaml:4: 't': FOR UPDATE and FOR SHARE lock rows; leave them out"
    ]
