"""Object storage sync by sync: repetitions, slices, what is read back, and whose manifest it is."""

import io
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from populace import sync
from populace.destinations.protocol import Origin
from tasks import object_storage
from tests.deliveries import QUICK
from tests.places import (
    NOBODY,
    ONE,
    TWO,
    Killed,
    Mortal,
    Place,
    difference,
    in_s3,
    on_disk,
    origin,
    read_back,
    sent,
    states_of,
    texts,
)
from tests.shelves import Shelf


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return on_disk(tmp_path) if request.param == "file" else in_s3(request.getfixturevalue("s3"))


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return on_disk(tmp_path)


def test_the_same_sync_twice_is_the_same_sync_once(place: Place):
    sent(place, NOBODY, ONE, origin())
    once = {name: place.read(name) for name in place.names()}
    assert {each.outcome for each in sent(place, NOBODY, ONE, origin())} == {"delivered"}
    assert {name: place.read(name) for name in place.names()} == once


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_slices_come_to_the_same_state(disk: Place, size: int, form: str):
    sent(disk, NOBODY, ONE, origin(1), size, format=form)
    sent(disk, ONE, TWO, origin(2), size, format=form)
    assert texts(read_back(disk, TWO, format=form)) == texts(TWO)
    replayed = disk.shelf.replayed()
    assert replayed == disk.shelf.states()
    messages = [row["message_id"] for row in disk.shelf.changes()[-1]]
    assert len(messages) == len(set(messages)) == difference(TWO, ONE, "").height


@pytest.mark.parametrize("size", [1, 2, 5])
def test_after_slices_the_files_of_the_sync_before_are_still_there(disk: Place, size: int):
    sent(disk, NOBODY, ONE, origin(1))
    before = {name: disk.read(name) for name in disk.names()}
    sent(disk, ONE, TWO, origin(2), size)
    assert all(disk.read(name) == data for name, data in before.items() if name != "manifest.json")


def test_while_a_sync_is_sent_in_slices_every_manifest_and_the_one_before_stay_readable(disk: Place):
    """The names of files that one sync writes one after the other for the same computation differ."""
    sent(disk, NOBODY, ONE, origin(1))
    records = difference(TWO, ONE, "x")
    read, manifests = disk.read, [disk.read("manifest.json")]
    for number, part in enumerate(records.iter_slices(2)):
        with object_storage.Sender(disk.settings, origin(2), QUICK, Path()) as sender:
            sender.store = Mortal(sender.store, 2 if number % 2 else 99, is_done=True)  # of its files two
            with suppress(Killed):
                list(sender.send(part))
        before = manifests[-1]
        Shelf(lambda name, said=before: said if name == "manifest.json" else read(name)).states()
        assert disk.shelf.states() == disk.shelf.replayed()
        manifests.append(disk.read("manifest.json"))
    assert len(set(manifests)) > 2


def test_a_text_that_reads_like_a_list_is_another_value(disk: Place):
    text, items = states_of({"u1": "[1]"}, []), states_of({"u1": [1]}, [])
    sent(disk, NOBODY, text, origin(1))
    sent(disk, text, items, origin(2))
    assert texts(read_back(disk, items)) == texts(items)


def test_a_part_of_a_sync_said_again_with_more_is_said_once(disk: Place):
    half = ONE.filter(pl.col("kind") == "trait")
    sent(disk, NOBODY, half, origin())
    sent(disk, NOBODY, ONE, origin())
    assert texts(read_back(disk, ONE)) == texts(ONE)
    assert len(disk.shelf.changes()) == 1
    assert len(disk.shelf.changes()[0]) == ONE.height


def test_what_is_held_is_what_was_sent(place: Place):
    sent(place, NOBODY, ONE, origin(), format="csv")
    assert texts(read_back(place, ONE)) == texts(ONE)
    assert read_back(place, ONE).columns == [*sync.KEY, "value"]
    asked = ONE.filter(pl.col("kind") == "audience")
    assert texts(read_back(place, asked)) == texts(asked)
    assert read_back(place, NOBODY).height == 0


def test_where_nothing_was_written_nothing_is_held(place: Place):
    assert read_back(place, ONE).height == 0


def table(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


OTHERS = table(pl.DataFrame({"id_type": ["user_id"], "id_value": ["u1"], "profile_id": ["use_u1"], "value": ["c"]}))


@pytest.mark.parametrize("data", [None, b"", b"PAR1", OTHERS], ids=["gone", "empty", "broken", "another"])
def test_a_file_that_is_gone_or_not_as_written_is_seen(disk: Place, data: bytes | None):
    place = disk
    sent(place, NOBODY, ONE, origin())
    (path,) = [name for name in place.names() if name.startswith("traits/plan/")]
    place.write(path, data)
    assert texts(read_back(place, ONE)) == texts(ONE.filter(pl.col("kind") == "audience"))
    verdicts = sent(place, ONE, TWO, origin(2))
    assert {each.outcome for each in verdicts} == {"delivered", "warning"}
    assert {each.reason for each in verdicts if each.outcome == "warning"} == {
        "1 files were missing or not as written; what they held is gone unless it was sent again: `--resync` sends all"
    }
    sent(place, NOBODY, TWO, origin(2, 1))
    assert texts(read_back(place, TWO)) == texts(TWO)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"version": 9}', b"\xff"])
def test_a_manifest_that_cannot_be_read_holds_nothing_and_stops_a_sync(disk: Place, data: bytes):
    place = disk
    sent(place, NOBODY, ONE, origin())
    place.write("manifest.json", data)
    assert read_back(place, ONE).height == 0
    (verdict,) = set(sent(place, ONE, TWO, origin(2)))
    assert verdict.outcome == "refused"
    assert "remove it, resume the destination, and sync with --resync" in verdict.reason
    place.write("manifest.json", None)
    sent(place, NOBODY, TWO, origin(2, 1))
    assert texts(read_back(place, TWO)) == texts(TWO)


def test_two_destinations_do_not_share_a_manifest(disk: Place):
    sent(disk, NOBODY, ONE, origin())
    (verdict,) = set(sent(disk, NOBODY, TWO, Origin("dev", "others", "run-1", "2024-03-01T00:00:00Z")))
    assert verdict.outcome == "refused"
    assert "destination 'files'" in verdict.reason
