"""How a destination differs from the ledger, and that the next difference mends it."""

from datetime import UTC, datetime

import polars as pl

from populace import sync

AT = datetime(2024, 3, 10, tzinfo=UTC)
PLAN = sync.Computation("trait", "plan", "property")
BUYERS = sync.Computation("audience", "buyers", "property")


def held(**values: str | None) -> pl.DataFrame:
    rows = [(f"p-{name}", "user_id", name, value, AT if value else None) for name, value in values.items()]
    return pl.DataFrame(rows, sync.HELD, orient="row")


def found(**values: str) -> pl.DataFrame:
    rows = [("user_id", name, value) for name, value in values.items()]
    return pl.DataFrame(rows, dict.fromkeys(("id_type", "id_value", "value"), pl.String), orient="row")


def mended(computation: sync.Computation, known: pl.DataFrame, there: pl.DataFrame, **desired: str) -> list[tuple]:
    """What is sent after the ledger was told the truth."""
    wanted = sync.Wanted(held(**desired).select(list(sync.WANTED)))
    ledger = sync.mended(known, sync.drift(known, there))
    records = sync.changes(computation, wanted, ledger).records
    return sorted(records.select("action", "id_value", "value").rows())


def test_what_is_equal_has_not_drifted():
    known = held(ann='"gold"', bo='"free"')
    found_ = sync.drift(known, found(ann='"gold"', bo='"free"'))
    assert found_.counts == {"missing": 0, "different": 0, "extra": 0}
    assert found_.identifiers.is_empty()
    assert sync.mended(known, found_).sort("id_value").equals(known)


def test_missing_different_and_extra_are_told_apart():
    drifted = sync.drift(held(ann='"gold"', bo='"free"', cy='"free"'), found(bo='"gold"', cy='"free"', di='"gold"'))
    assert drifted.counts == {"missing": 1, "different": 1, "extra": 1}
    assert [each["id_value"].to_list() for each in (drifted.missing, drifted.different, drifted.extra)] == [
        ["ann"],
        ["bo"],
        ["di"],
    ]
    assert sorted(drifted.identifiers["id_value"]) == ["ann", "bo", "di"]


def test_one_name_in_two_types_is_two_identifiers():
    there = found(ann='"gold"').with_columns(id_type=pl.lit("email"))
    assert sync.drift(held(ann='"gold"'), there).counts == {"missing": 1, "different": 0, "extra": 1}


def test_what_is_in_doubt_has_not_drifted_whatever_is_there():
    known = held(ann=None, bo=None)
    drifted = sync.drift(known, found(ann='"gold"'))
    assert drifted.counts == {"missing": 0, "different": 0, "extra": 0}
    assert sync.mended(known, drifted)["value"].to_list() == [None, None]


def test_what_drifted_is_sent_again_and_nothing_else():
    known = held(ann='"gold"', bo='"free"', cy='"free"')
    there = found(bo='"gold"', cy='"free"', di='"gold"')
    assert mended(PLAN, known, there, ann='"gold"', bo='"free"', cy='"free"') == [
        ("set", "ann", '"gold"'),
        ("set", "bo", '"free"'),
        ("unset", "di", None),
    ]


def test_what_drifted_and_is_desired_no_more_is_removed_where_it_is():
    known = held(ann="true", bo="true")
    assert mended(BUYERS, known, found(bo="true", cy="true")) == [("exit", "bo", "false"), ("exit", "cy", "false")]


def test_what_is_extra_and_desired_is_sent_once_more():
    """Who put it there is not known, so its value is not trusted."""
    assert mended(BUYERS, held(), found(cy="true"), cy="true") == [("set", "cy", "true")]


def test_who_was_missing_keeps_no_row_and_no_one_loses_a_person():
    known = held(ann='"gold"', bo='"free"')
    ledger = sync.mended(known, sync.drift(known, found(bo='"other"', di='"gold"')))
    assert ledger.schema == sync.HELD
    assert sorted(ledger.select("id_value", "value").rows()) == [("bo", None), ("di", None)]
