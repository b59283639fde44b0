"""Sources that come and go: the lake follows from the archives that are connected, whatever was before."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from populace.lake import ledger
from populace.space import replay
from tests.driving import put, replay_all, space_in

AS_OF = datetime(2024, 3, 31, tzinfo=UTC)


def rows(*messages: str, hour: int) -> pl.DataFrame:
    at = f"2024-03-01T{hour:02}:00:00Z"
    return pl.DataFrame(
        [{"message_id": each, "type": "track", "event": "E", "user_id": "u1", "timestamp": at} for each in messages]
    )


def test_e35_a_removed_source_gives_back_the_messages_it_held(tmp_path):
    space = space_in(tmp_path, sources=("app", "web"))
    put(space, "app", "a", rows("m1", "m2", hour=9))
    put(space, "web", "a", rows("m1", "m3", hour=10))
    assert replay_all(space, AS_OF)["web"]["rows"]["kept"] == 1
    alone = replace(space, definition=replace(space.definition, sources=space.definition.sources[1:]))
    assert replay_all(alone, AS_OF)["web"]["rows"]["kept"] == 2


def test_a_removed_source_leaves_nothing_in_the_lake(tmp_path):
    space = space_in(tmp_path, sources=("app", "web"))
    put(space, "app", "a", rows("m1", hour=9))
    put(space, "web", "a", rows("m2", hour=10))
    replay_all(space, AS_OF)
    alone = replace(space, definition=replace(space.definition, sources=space.definition.sources[1:]))
    assert replay.drop_removed(alone) == ["app"]
    replay_all(alone, AS_OF)
    assert ledger.sources(alone.lake) == ["web"]
    assert not [each.path for each in alone.lake.list() if Path(each.path).name.startswith("app")]
    assert replay.drop_removed(alone) == []
    assert replay_all(space, AS_OF)["app"]["rows"]["kept"] == 1
