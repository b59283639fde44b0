"""Names and types that nobody planned: whatever events and properties are called or hold, each value is read."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from populace import query
from populace.definitions import Source
from populace.events import parts, shred
from populace.space import reading
from tests import driving

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
AS_OF = START + timedelta(days=90)
SECOND = timedelta(seconds=1)

# Names that differ in little, or mean something to file systems, to SQL, to JSON pointers, to polars, or to the lake.
NAMES = (
    " ",
    ".",
    "..",
    "...",
    "a.b",
    "a..b",
    ".a",
    "a.",
    "~",
    "~0",
    "~1",
    "/",
    "a/b",
    "a//b",
    "/a",
    "../../x",
    "a b",
    "a  b",
    "'",
    '"',
    "''",
    '"a"',
    "\0",
    "\n",
    "\t",
    "a\nb",
    "a\r\nb",
    "\x1b[31m",
    "*",
    "^.*$",
    "^a$",
    "$x",
    "[0]",
    "[",
    "{}",
    "{0}",
    "%s",
    "%00",
    "#",
    "&",
    "?",
    "a?b=c",
    "a=b",
    ":",
    "a:b",
    "x:json",
    ":json",
    "x:json:json",
    "|",
    "a|b",
    "<b>",
    ";--",
    "`",
    "_",
    "__",
    "_rest",
    "-",
    "--",
    "!",
    "!41",
    "@",
    "@row",
    "@file",
    "@few",
    "@@",
    "@identify",
    "@@identify",
    "@group",
    "con",
    "CON",
    "nul",
    "null",
    "NULL",
    "none",
    "true",
    "0",
    "-0",
    "1e3",
    "p.x",
    "c.x",
    "g",
    "j",
    "row",
    "reason",
    "line",
    "object",
    "event",
    "Event",
    "EVENT",
    "eVent",
    "message_id",
    "timestamp",
    "received_at",
    "source",
    "sighting",
    "profile",
    "mask 0",
    "name",
    "Page Viewed",
    "page viewed",
    "PAGE VIEWED",
    "page_viewed",
    "order.completed",
    "order/completed",
    "é",
    "e\u0301",
    "É",
    "ß",
    "SS",
    "ss",
    "İ",
    "i",
    "I",
    "\u0131",
    "ﬁ",
    "fi",
    "Ж",
    "ж",
    "日本",
    "😀",
    "😀😀",
    "👩\u200d👩\u200d👧",
    "\u200b",
    "a\u200bb",
    "\u202e",
    "\u2028",
    "\ufeff",
    "x" * 300,
    "X" * 300,
    "x" * 299 + "y",
    "😀" * 300,
    "é" * 300,
    "a." * 150,
)


@pytest.fixture(params=["usual", "tiny"])
def cut(request, monkeypatch):
    """Archives in one part, and in many, where hardly an event has a table of its own."""
    if request.param == "tiny":
        monkeypatch.setattr(reading, "MOST_ROWS", 40)
        monkeypatch.setattr(shred, "MOST_CELLS", 100)
        monkeypatch.setattr(shred, "MOST_OBJECTS", 3)
        monkeypatch.setattr(parts, "OWN_TABLES", 2)
    return request.param


def quoted(name):
    """A name as a string of the language."""
    return "'" + name.replace("\\", r"\\").replace("'", r"\'") + "'"


def path(*keys):
    """Keys as a path of the language."""
    return "'" + ".".join(key.replace("\\", r"\\").replace("'", r"\'").replace(".", r"\.") for key in keys) + "'"


def last(*keys, event="E"):
    return f"event({quoted(event)}).last(property({path(*keys)}))"


def total(*keys, event="E"):
    return f"event({quoted(event)}).sum(property({path(*keys)}))"


def track(number, properties, event="E", **more):
    row = {
        "message_id": f"m{number}",
        "type": "track",
        "event": event,
        "user_id": "u1",
        "timestamp": START + number * SECOND,
    }
    return row | {"properties": json.dumps(properties)} | more


def computed(folder, rows, definitions, as_of=AS_OF):
    """The values of the definitions, by their number, after a whole recompute of these rows."""
    space = driving.space_in(folder, traits={f"t{number}": text for number, text in enumerate(definitions)})
    if rows is not None:
        driving.put(space, "web", "a", pl.DataFrame(rows))
    return values(space, driving.recomputed(space, as_of))


def values(space, run):
    """The traits of the only profile there is, in the order of their definitions."""
    return list(driving.table(space, run, "traits").drop("profile_id").row(0))


# --- names ------------------------------------------------------------------------------------------


def test_an_event_may_have_any_name(tmp_path, cut):
    names = [name for name in NAMES if name.strip()]  # an event with a blank name is rejected (1.7)
    amounts = {name: [10 * number + again for again in range(number % 4 + 1)] for number, name in enumerate(names)}
    rows = [track(amount, {"v": amount}, name) for name in names for amount in amounts[name]]
    kinds = [(len, lambda name: f"event({quoted(name)}).count()"), (max, lambda name: last("v", event=name))]
    asked = list(zip(names, itertools.cycle([*kinds, (sum, lambda name: total("v", event=name))]), strict=False))
    found = computed(tmp_path, rows, [text(name) for name, (_, text) in asked])
    assert dict(zip(names, found, strict=True)) == {name: of(amounts[name]) for name, (of, _) in asked}


# Kept as JSON always, so that none is taken for the JSON form of another: hence text.
ENDS_LIKE_JSON = tuple(name for name in NAMES if name.endswith(":json"))


def test_a_property_may_have_any_name_at_any_depth(tmp_path, cut):
    rows = [track(number, {name: number, "o": {name: {"z": str(number)}}}) for number, name in enumerate(NAMES)]
    found = computed(tmp_path, rows, [text for name in NAMES for text in (last(name), last("o", name, "z"))])
    told = dict(zip(NAMES, zip(*[iter(found)] * 2, strict=True), strict=True))
    numbers = {name: str(number) if name in ENDS_LIKE_JSON else number for number, name in enumerate(NAMES)}
    assert told == {name: (numbers[name], str(number)) for number, name in enumerate(NAMES)}


@pytest.mark.parametrize("layout", ["segment_lake", "warehouse"])
def test_a_column_of_a_flattened_archive_may_have_any_name(tmp_path, cut, layout):
    texts = [last(name, event="e x") for name in NAMES]
    space = driving.space_in(tmp_path, traits={f"t{number}": text for number, text in enumerate(texts)})
    source = Source("web", (tmp_path / "archive/web").as_uri(), layout=layout)
    space = replace(space, definition=replace(space.definition, sources=(source,)))
    prefix, own_id, name, reserved = FLATTENED[layout]
    rows = [
        {own_id: f"m{number}", "user_id": "u1", "event": "e x", "timestamp": START + number * SECOND}
        | ({} if each in reserved else {prefix + each: number})
        for number, each in enumerate(NAMES)
    ]
    columns = dict.fromkeys(each for row in rows for each in row)
    frame = pl.DataFrame([{each: row.get(each) for each in columns} for row in rows], infer_schema_length=None)
    driving.put(space, "web", name, frame)
    told = dict(zip(NAMES, values(space, driving.recomputed(space, AS_OF)), strict=True))
    expected = {name: str(n) if name in ENDS_LIKE_JSON else n for n, name in enumerate(NAMES) if name not in reserved}
    assert {name: told[name] for name in expected} == expected


FLATTENED = {
    "segment_lake": ("properties_", "message_id", "data/x/segment_type=e_x/day=2024-03-01/a", ()),
    "warehouse": ("", "id", "e_x", ("event", "timestamp", "received_at", "__")),  # what is no property there
}


def test_five_thousand_properties_of_one_event(tmp_path):
    """More than a table has columns for: the rarest stay in the whole objects."""
    rows = [
        track(n, {f"P {at}": at for at in range(n * 250, n * 250 + 250)} | {"all": n, "p 4999": "x"}) for n in range(20)
    ]
    asked = [*range(0, 5_000, 97), 4_999]
    found = computed(tmp_path, rows, [*(last(f"P {at}") for at in asked), total("all"), last("p 4999"), last("P 5000")])
    assert found == [*asked, 190.0, "x", None]


def test_a_thousand_event_names_over_sixty_days(tmp_path):
    """They become few objects, and each is found."""
    rows = pl.DataFrame({"n": range(60_000)}).select(
        message_id=pl.format("m{}", "n"),
        type=pl.lit("track"),
        event=pl.format("Event {}", pl.col("n") % 1_000),
        user_id=pl.lit("u1"),
        timestamp=pl.lit(START) + pl.duration(days=pl.col("n") // 1_000),
        properties=pl.concat_str(pl.lit('{"v":'), "n", pl.lit(',"w":{"x.y":"'), pl.col("n") // 1_000, pl.lit('"}}')),
    )
    asked = [0, 1, 9, 10, 499, 500, 999]
    texts = [f"event('Event {number}').count()" for number in range(0, 1_000, 20)]
    texts += [last("v", event=f"Event {number}") for number in asked] + [last("w", "x.y", event="Event 7")]
    space = driving.space_in(tmp_path, traits={f"t{number}": text for number, text in enumerate(texts)})
    for number, days in enumerate((range(20), range(20, 21), range(21, 60))):
        mine = pl.col("timestamp").is_in([START + timedelta(days=day) for day in days])
        driving.put(space, "web", f"{number}", rows.filter(mine))
        driving.replay_all(space, AS_OF)
    assert len(space.lake.list("")) < 300
    assert values(space, driving.run(space, AS_OF)) == [60] * 50 + [59_000 + number for number in asked] + ["59"]


# --- types ------------------------------------------------------------------------------------------

HISTORY = [
    1,
    2.5,
    "39.95",
    "text",
    True,
    None,
    3,
    [1, {"a": 2}],
    {"deep": {"er": 5}},
    {},
    "",
    2**53 + 1,
    2**63 - 1,
    -1.0,
    10**20,
    1e308,
    False,
    {"deep": "x"},
    [],
    "true",
]
# What `last` says after each: text wherever types mix, and what is null or an object is no value.
TOLD = [
    "1",
    "2.5",
    "39.95",
    "text",
    "true",
    "true",
    "3",
    '[1,{"a":2}]',
    '[1,{"a":2}]',
    "{}",
    "",
    "9007199254740993",
    "9223372036854775807",
    "-1",
    "100000000000000000000",
    "1e+308",
    "false",
    "false",
    "[]",
    "true",
]


def test_a_property_may_change_its_type_with_every_call(tmp_path, cut):
    rows = [track(number, {"v": value}) for number, value in enumerate(HISTORY)]
    space = driving.space_in(
        tmp_path, traits={"v": last("v"), "sum": total("v"), "deep": last("v", "deep"), "er": last("v", "deep", "er")}
    )
    for number, row in enumerate(rows):
        driving.put(space, "web", f"{number:02}", pl.DataFrame([row]))
    driving.replay_all(space, AS_OF)
    found = [values(space, driving.run(space, START + number * SECOND)) for number in range(len(rows))]
    assert [each[0] for each in found] == TOLD
    assert found[3][1] == 43.45
    assert [each[2] for each in found[7:9]] == [None, None]
    assert found[-1][2:] == ["x", 5]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (1, 2.5, 2.5),
        (2.5, 1, 1.0),
        (1, "x", "x"),
        (2**53 + 1, 0.5, "0.5"),
        (0.5, 2**53 + 1, "9007199254740993"),
        (10**20, 1, "1"),
        (True, 1, "1"),
        ("1", 1, "1"),
        ({"a": 1}, 1, 1),
        ([1], "x", "x"),
        (1, {"a": 1}, 1),
    ],
)
def test_a_property_that_changes_between_parts(tmp_path, before, after, told):
    """As if both had been of one part."""
    for folder, names in (("one", "aa"), ("two", "ab")):
        space = driving.space_in(tmp_path / folder, traits={"t": last("v")})
        for number, (name, value) in enumerate(zip(names, (before, after), strict=True)):
            rows = (
                [track(n, {"v": each}) for n, each in enumerate((before, after)[: number + 1])]
                if names == "aa"
                else [track(number, {"v": value})]
            )
            driving.put(space, "web", name, pl.DataFrame(rows))
            driving.replay_all(space, AS_OF)
        assert values(space, driving.run(space, AS_OF)) == [told]


def test_properties_appear_and_vanish(tmp_path, cut):
    """Each row has one property of its own, one that all have, and one that another row has under another spelling."""
    rows = [
        track(number, {f"only {number}": number, "all": number, ("Case", "case", "CASE")[number % 3]: number})
        for number in range(100)
    ]
    texts = [*(last(f"only {number}") for number in range(100)), last("all"), total("all")]
    found = computed(tmp_path, rows, [*texts, last("Case"), last("case"), last("CASE"), last("only 100")])
    assert found == [*range(100), 99, 4950.0, 99, 97, 98, None]


def test_what_the_language_cannot_name():
    """Kept in the lake, though no definition can ask for it: a key without a letter, `$`, a backslash before a dot."""
    for text in ("''", "'$'", r"'a\\\.b'"):
        with pytest.raises(query.QueryError):
            query.parse_trait(f"event('E').last(property({text}))")
