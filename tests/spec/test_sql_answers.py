"""The answers of statements: kept once, each for its instant, and the same when a stage is done again."""

from datetime import timedelta

import pytest

from populace.lake import runs
from populace.space import recompute, snapshots, statements
from tests import driving
from tests.shops import TICK, entry, over_lake
from tests.tables import AS_OF


def bytes_of(space, run_id):
    return {each.path: space.lake.read(each.path) for each in space.lake.list(f"runs/{run_id}/")}


STAGES = ("external_ids", "profiles", "retired", "traits", "sql_traits", "sql_rows")


@pytest.mark.parametrize("dies_before", STAGES)
def test_a_stage_that_is_killed_and_done_again_gives_the_same_bytes(shop, dies_before, monkeypatch):
    """Also where what it made was made from what it had written."""
    lake = over_lake("select profile_id, count(*) as n from events group by 1 union all "
                     "select p.profile_id, 0 from profiles p where p.profile_id not in (select profile_id from events)",
                     "n")  # fmt: skip
    found = shop(entry(), lake, traits={"revenue": "event('Order Completed').sum(property('total'))"})
    found.answer("email | ltv\n new@x.org | 5\n ada@x.org | 6")
    found.run()
    expected = bytes_of(found.space, found.run_id)
    run = recompute.reopen(found.space, found.run_id)
    write = runs.write

    def dying(store, run_id, name, frame):
        if name == dies_before:
            raise KeyboardInterrupt
        write(store, run_id, name, frame)

    monkeypatch.setattr(runs, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        statements.compute(found.space, run)
    monkeypatch.undo()
    statements.compute(found.space, run)
    assert bytes_of(found.space, found.run_id) == expected


def test_a_run_names_the_answers_that_it_is_made_of(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1", TICK - timedelta(hours=12))
    before = driving.run(found.space, AS_OF)
    assert driving.run(found.space, AS_OF) == before
    found.answer("user_id | ltv\n u1 | 2")
    after = found.run().run_id
    assert after != before
    told = runs.manifest(found.space.lake, after)["sql"]["orders"]
    assert (told["at"], told["snapshot"].split("/")[:2]) == (runs.iso(TICK), ["sql", "orders"])


def test_equal_answers_are_one_object_whatever_the_order_of_their_rows(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1\n u2 | 2", TICK)
    found.answer("user_id | ltv\n u2 | 2\n u1 | 1", TICK + timedelta(hours=12))
    assert len([each for each in found.space.lake.list("sql/") if each.path.endswith(".parquet")]) == 1


def test_an_answer_is_kept_once(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    found.answer("user_id | ltv\n u1 | 2")
    assert found.run().values("ltv") == {"u1": (1,)}


def test_history_has_the_answers_of_its_time_or_none(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1", TICK)
    assert found.run(AS_OF - timedelta(days=1)).values() == {}
    assert found.counts() == {}
    found.answer("user_id | ltv\n u1 | 2", TICK + timedelta(days=1))
    assert found.run(AS_OF + timedelta(hours=23)).values("ltv") == {"u1": (1,)}


def test_t43_another_statement_has_no_answers_yet(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    found.with_sql(entry(statement="select 2"))
    assert found.run().values() == {}
    assert snapshots.due(found.space, AS_OF, AS_OF) == ["orders"]


def test_t37_what_is_due_is_the_last_instant_of_the_schedule(shop):
    found = shop(entry(schedule="0 */6 * * *"))
    assert snapshots.due(found.space, AS_OF, AS_OF) == ["orders"]
    found.answer("user_id | ltv\n u1 | 1")
    late = AS_OF + timedelta(hours=5, minutes=59)
    assert snapshots.due(found.space, late, late) == []
    assert snapshots.due(found.space, AS_OF + timedelta(hours=6), AS_OF + timedelta(hours=7)) == ["orders"]


@pytest.mark.parametrize("hours", [-7, 7])
def test_a_database_is_never_asked_about_the_past_or_the_future(shop, hours):
    found = shop(entry(schedule="0 */6 * * *"))
    assert snapshots.due(found.space, AS_OF + timedelta(hours=hours), AS_OF) == []


def test_a_space_is_refreshed_only_when_an_answer_is_another_one(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    assert snapshots.are_new(found.space, AS_OF)
    found.run()
    found.answer("user_id | ltv\n u1 | 1", TICK + timedelta(hours=12))
    later = AS_OF + timedelta(hours=12)
    assert not snapshots.are_new(found.space, later)
    found.answer("user_id | ltv\n u1 | 2", TICK + timedelta(hours=24))
    assert snapshots.are_new(found.space, AS_OF + timedelta(hours=24))
