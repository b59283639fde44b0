"""The demo's archive: the same for the same seed, as dirty as it says, and its truth is the truth."""

import hashlib
import io
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import duckdb
import polars as pl
import pytest
from botocore.exceptions import ClientError

from demo import delivery, events, object_store, people

AS_OF = datetime(2026, 9, 23, 14, 37, tzinfo=UTC)
EVENTS = 20_000
SOURCES = ("web", "server", "split")
JSON = ["context", "properties", "traits"]
BAD_PROPERTIES = ("array_properties", "text_properties", "invalid_properties")
INSTANT = pl.Datetime("ms", "UTC")


def digest(objects: Iterator[events.Object]) -> str:
    whole = hashlib.sha256()
    for key, frame, _ in objects:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        whole.update(key.encode() + buffer.getvalue())
    return whole.hexdigest()


def plain(key: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of an object with their source; instants in milliseconds, and whether one cannot be read."""
    timestamp, is_text = pl.col("timestamp"), frame.schema["timestamp"] == pl.String
    read = timestamp.str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", strict=False, time_zone="UTC") if is_text else timestamp
    return frame.with_columns(
        source=pl.lit(key.split("/")[0]),
        key=pl.lit(key),
        is_unreadable=timestamp.is_not_null() & read.is_null(),
        timestamp=read.cast(INSTANT),
        received_at=pl.col("received_at").cast(INSTANT),
        sent_at=pl.col("sent_at").cast(INSTANT) if "sent_at" in frame.columns else None,
        original_timestamp=pl.col("original_timestamp").cast(INSTANT)
        if "original_timestamp" in frame.columns
        else None,
    )


@pytest.fixture(scope="module")
def archive() -> list[events.Object]:
    return list(events.objects(AS_OF, events=EVENTS))


@pytest.fixture(scope="module")
def rows(archive: list[events.Object]) -> pl.DataFrame:
    """All rows as they lie in the archive, with what kind of JSON they hold."""
    whole = pl.concat([plain(key, frame) for key, frame, _ in archive], how="diagonal_relaxed")
    kinds = [f"case when json_valid({name}) then json_type({name}) end as {name}_kind" for name in JSON]
    json = duckdb.from_arrow(whole.select(JSON).to_arrow()).project(", ".join(kinds)).pl()
    return whole.hstack(json)


@pytest.fixture(scope="module")
def kept(rows: pl.DataFrame) -> pl.DataFrame:
    """What a replay keeps: valid rows, each message as it was first received."""
    valid = rows.filter(~rejected())
    return valid.sort("received_at", maintain_order=True).unique("message_id", keep="first", maintain_order=True)


def rejected() -> pl.Expr:
    no_object = pl.col("properties").is_not_null() & pl.col("properties_kind").ne_missing("OBJECT")
    return (
        no_object
        | pl.col("message_id").str.len_chars().fill_null(101).gt(100)
        | (pl.col("user_id").is_null() & pl.col("anonymous_id").is_null())
        | ((pl.col("type") == "track") & pl.col("event").is_null())
        | ~pl.col("type").is_in(["track", "page", "identify", "group"])
        | pl.col("is_unreadable")
    )


def test_the_same_arguments_give_the_same_bytes(archive):
    # A third will do, and reaches past the days whose objects are cut otherwise.
    again = events.objects(AS_OF, events=EVENTS)
    assert digest(islice(again, 60)) == digest(iter(archive[:60]))


def test_another_seed_gives_other_bytes(archive):
    other = events.objects(AS_OF, events=EVENTS, seed=8)
    assert digest(islice(other, 3)) != digest(iter(archive[:3]))


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="as_of needs a time zone"):
        next(events.objects(datetime(2026, 9, 23)))


def test_there_are_as_many_rows_as_asked_for(rows):
    assert 0.97 * EVENTS < rows.height < 1.03 * EVENTS


def test_counts_say_what_a_replay_finds(archive, rows, kept):
    promised = events.outcomes([counts for _, _, counts in archive])
    read = rows.group_by("source").agg(read=pl.len(), rejected=rejected().sum())
    found = read.join(kept.group_by("source").agg(kept=pl.len()), on="source")
    found = found.with_columns(duplicate=pl.col("read") - pl.col("kept") - pl.col("rejected")).sort("source")
    assert found.select(promised.columns).rows() == promised.rows()


def test_a_small_part_is_twice_or_broken(archive):
    totals = events.outcomes([counts for _, _, counts in archive]).sum()
    assert totals["duplicate"][0] / totals["read"][0] == pytest.approx(0.005, abs=0.002)
    assert totals["rejected"][0] / totals["read"][0] == pytest.approx(0.003, abs=0.002)


def test_every_kind_of_dirt_occurs_somewhere():
    whole = sum((counts for _, _, counts in islice(events.objects(AS_OF, events=200_000), 60)), Counter())
    assert {kind for _, kind in whole} == set(delivery.OUTCOMES)


def test_nothing_is_received_outside_the_span_nor_long_before_its_end(rows):
    received_at = rows["received_at"]
    assert received_at.null_count() == 0
    assert received_at.min() >= AS_OF - timedelta(days=60)
    assert AS_OF - timedelta(hours=2) < received_at.max() < AS_OF


def test_late_rows_come_one_to_three_days_after_they_happened(archive, kept):
    delay = kept["received_at"] - kept["timestamp"]
    late = delay.filter(delay > timedelta(minutes=1))
    assert late.min() >= timedelta(days=1)
    assert late.max() < timedelta(days=3)
    assert late.len() == sum(counts[source, "late"] for _, _, counts in archive for source in SOURCES)


def test_objects_follow_the_received_day_but_for_one(rows):
    of_key = pl.col("key").str.extract(r"(\d{4}/\d\d/\d\d)").str.to_date("%Y/%m/%d")
    odd = rows.filter(of_key != pl.col("received_at").dt.date())["key"].unique()
    assert odd.to_list() == ["server/2026/07/31/part-0.parquet"]


def test_some_days_come_in_two_objects(archive):
    seconds = [key for key, _, _ in archive if key.endswith("part-1.parquet")]
    assert len(seconds) == 6
    assert all(key.startswith("web/") for key in seconds)


def test_sources_differ_in_schema(archive):
    web, server, split = (next(frame for key, frame, _ in archive if key.startswith(source)) for source in SOURCES)
    assert web.schema["group_id"] == server.schema["anonymous_id"] == pl.Null
    assert web.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert server.schema["timestamp"] == pl.String
    assert not {"anonymous_id", "group_id", "traits"} & set(split.columns)


def test_parquet_keeps_the_odd_columns(archive):
    server = next(frame for key, frame, _ in archive if key.startswith("server"))
    buffer = io.BytesIO()
    server.write_parquet(buffer)
    buffer.seek(0)
    assert pl.read_parquet(buffer).schema == server.schema


def test_json_is_valid_where_nothing_else_was_meant(archive, rows):
    assert rows.select((pl.col("context_kind") == "OBJECT").all()).item()
    assert rows.filter(pl.col("traits").is_not_null() & pl.col("traits_kind").ne_missing("OBJECT")).is_empty()
    meant = sum(counts[source, kind] for _, _, counts in archive for source in SOURCES for kind in BAD_PROPERTIES)
    found = rows.filter(pl.col("properties").is_not_null() & pl.col("properties_kind").ne_missing("OBJECT"))
    assert found.height == meant


def test_contexts_are_as_long_as_real_ones(rows):
    means = dict(rows.group_by("source").agg(pl.col("context").str.len_bytes().mean()).iter_rows())
    assert 500 < means["web"] < 700


def test_timestamps_follow_from_the_other_three(rows):
    by_rule = pl.col("received_at") - (pl.col("sent_at") - pl.col("original_timestamp"))
    web = rows.filter(pl.col("source") == "web", pl.col("timestamp").is_not_null())
    assert web.select((by_rule == pl.col("timestamp")).all()).item()


def test_who_signed_up_is_who_the_archive_says(kept):
    found = kept.filter(pl.col("event") == "User Signed Up").select("user_id", signed_up_at="timestamp")
    assert found.sort("user_id").rows() == events.sign_ups(AS_OF, events=EVENTS).rows()


def test_sign_ups_of_a_week_are_a_few_dozen_and_growing():
    signed_up_at = events.sign_ups(AS_OF)["signed_up_at"]
    last = (signed_up_at >= AS_OF - timedelta(days=7)).sum()
    first = (signed_up_at < AS_OF - timedelta(days=53)).sum()
    assert first < last
    assert 100 < last < 400


def test_people_browse_without_a_name_before_they_sign_up(kept):
    web = kept.filter(pl.col("source") == "web", pl.col("type") == "page")
    first = web.sort("timestamp").group_by("anonymous_id", maintain_order=True).first()
    # The guests of a shared browser aside, for theirs is the owner's: a new browser knows nobody.
    assert first["user_id"].is_null().mean() > 0.98


def test_flags_change_over_time_and_with_the_environment(kept):
    fields = ["split", "treatment", "environmentName", "label", "changeNumber"]
    split = kept.filter(pl.col("source") == "split")
    read = [pl.col("properties").str.json_path_match(f"$.{field}").alias(field) for field in fields]
    flag = split.select(read).filter(pl.col("split") == "back_end_roll_algorithm")
    assert set(flag["treatment"]) == {"on", "off", "control"}
    assert set(flag["environmentName"]) == {"prod", "staging"}
    assert {"default rule", "whitelisted", "killed", "not ready"} == set(flag["label"])
    assert flag["changeNumber"].cast(pl.Int64).n_unique() == 4


def test_a_treatment_stays_until_the_flag_changes(kept):
    fields = ["split", "treatment", "environmentName", "label", "changeNumber"]
    split = kept.filter(pl.col("source") == "split")
    read = [pl.col("properties").str.json_path_match(f"$.{field}").alias(field) for field in fields]
    told = split.select("user_id", *read).filter(pl.col("label") != "not ready")
    told = told.filter(pl.col("split").is_not_null())
    alternatives = told.group_by("user_id", "split", "environmentName", "changeNumber").agg(
        pl.col("treatment").n_unique()
    )
    assert alternatives["treatment"].max() == 1


def test_people_become_one_component_each_but_for_the_shared_ones(kept):
    merged = Counter(len(owners) for owners in components(kept).values())
    # Twelve browsers with two users each, and one mailbox with three.
    assert {size: count for size, count in merged.items() if size > 1} == {2: 12, 3: 1}


def test_linked_identifiers_of_a_person_are_in_one_component(kept):
    found = components(kept, of_component=False)
    assert Counter(len(homes) for homes in found.values()).keys() == {1}


def components(kept: pl.DataFrame, *, of_component: bool = True) -> dict:
    """The persons found in each component of the graph, or the components in which a linked person is found."""
    truth = people.truth(AS_OF, events=EVENTS)
    home = labels(sightings(kept))
    found: dict = {}
    for id_type, id_value, person, is_linked in truth.iter_rows():
        label = home.get((id_type, id_value))
        if label is None or not (is_linked or of_component):
            continue
        key, value = (label, person) if of_component else (person, label)
        found.setdefault(key, set()).add(value)
    return found


def sightings(kept: pl.DataFrame) -> Iterator[list[tuple[str, str]]]:
    email, number = (
        pl.col("traits").str.json_path_match("$.email"),
        pl.col("traits").str.json_path_match("$.customerNumber"),
    )
    seen = kept.select(
        "user_id", "anonymous_id", email=email.str.strip_chars().str.to_lowercase(), customer_number=number
    ).unique()
    blocked = {delivery.ZEROS, *delivery.NOBODIES, None}
    for row in seen.iter_rows(named=True):
        yield [(name, value) for name, value in row.items() if value not in blocked]


def labels(sets: Iterator[list[tuple[str, str]]]) -> dict[tuple[str, str], tuple[str, str]]:
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for first, *others in filter(None, sets):
        root(first)
        for other in others:
            parent[root(other)] = root(first)
    return {node: root(node) for node in list(parent)}


def test_the_truth_names_every_identifier_once_and_all_that_browsers_show(kept):
    truth = people.truth(AS_OF, events=EVENTS)
    assert truth.select("id_type", "id_value").is_unique().all()
    seen = kept.filter(pl.col("source") == "web")["anonymous_id"].drop_nulls().unique()
    known = truth.filter(pl.col("id_type") == "anonymous_id")["id_value"]
    assert set(seen) - {delivery.ZEROS} == set(known)


def test_the_object_store_keeps_an_object_that_must_not_be_replaced():
    with object_store.serve("archive") as store:
        s3 = object_store.client(store)
        s3.put_object(Bucket=store.bucket, Key="1.json", Body=b"first", IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=store.bucket, Key="1.json", Body=b"second", IfNoneMatch="*")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((object_store.HOST, int(store.endpoint_url.rsplit(":")[-1])), timeout=5)


def test_the_object_store_names_the_remedy_where_moto_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(object_store.Unavailable, match=r"moto\[server\]"), object_store.serve("archive"):
        pass
