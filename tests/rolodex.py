"""A vendor that does not exist, and its adapter: together they use everything that the protocol offers.

People are written one at a time (PUT /people/{id}, in lanes), lists by the numbers that the vendor gives people
(POST /lookups looks them up, POST /lists/{name}/add and /remove), events are counted as often as they come
(POST /events), and imports are queued (POST /imports, then GET /imports/{id} until it is done).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from demo.vendors.server import Call, Refusal, Reply, Vendor, only
from populace.destinations.bodies import is_there
from populace.destinations.protocol import (
    LIST,
    About,
    Answer,
    Exchange,
    Found,
    Limits,
    Listing,
    Origin,
    Reading,
    Record,
    Request,
    Response,
    Setting,
    Settings,
    Update,
    Verdict,
    by_status,
)

KEY = "rolo-secret-77"

# --- the vendor -------------------------------------------------------------------------------------


@dataclass
class Rolodex(Vendor):
    """People with a number and their card, lists of numbers, and a tally of events."""

    key: str = KEY
    most_items: int = 3
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    on_lists: dict[str, set[int]] = field(default_factory=dict)
    names_of_lists: dict[str, str] = field(default_factory=dict)  # by number
    tally: dict[str, int] = field(default_factory=dict)  # how often each event was counted

    @property
    def settings(self) -> dict[str, str]:
        return {"url": self.url, "key": self.key}

    def meet(self, people: Iterable[str]) -> None:
        for each in people:
            self.numbers.setdefault(each, len(self.numbers) + 1)

    def properties(self, key: str) -> dict[str, Any]:
        return {person: card[key] for person, card in self.cards.items() if card.get(key) is not None}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = {tuple(name.split(" ")): count for name, count in self.tally.items()}
        return Counter({(person, event == "entered"): count for (person, event), count in told.items()})

    def is_allowed(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.key}"

    def people(self, call: Call) -> Iterable[str]:
        if call.method == "PUT":
            return [call.steps[1]]
        return [each["id"] for each in call.json()] if call.path in ("/imports", "/events") else []

    def lists(self, call: Call) -> Iterable[str]:
        return [call.steps[1]] if call.steps[0] == "lists" else []

    def answer(self, call: Call) -> Reply:
        return getattr(self, f"_{call.method.lower()}_{call.steps[0]}")(call)

    def _put_people(self, call: Call) -> Reply:
        person, card = call.steps[1], call.json()
        if person in self.unwanted:
            raise Refusal(422, {"code": "unwanted_person", "message": f"{person} is not wanted"})
        self._write(person, card)
        return Reply(200, {"number": self.numbers[person]})

    def _post_lookups(self, call: Call) -> Reply:
        return Reply(200, {each: self.numbers[each] for each in call.json() if each in self.numbers})

    def _post_cards(self, call: Call) -> Reply:
        asked = call.json()
        self.check(asked, call.body)
        return Reply(200, {each: self.cards[each] for each in asked if each in self.cards})

    def _get_lists(self, call: Call) -> Reply:
        if len(call.steps) == 3:
            return self._page(call)
        numbers = [number for number, name in self.names_of_lists.items() if name == call.query["name"]]
        return Reply(200, {"list": numbers[0] if numbers else None})

    def _page(self, call: Call) -> Reply:
        """Names on a list, two at a time."""
        at = int(call.query["from"])
        names = sorted(name for name, each in self.numbers.items() if each in self.on_lists.get(call.steps[1], set()))
        return Reply(200, {"names": names[at : at + 2], "next": at + 2 if at + 2 < len(names) else None})

    def _post_lists(self, call: Call) -> Reply:
        body = call.json()
        if len(call.steps) == 1:
            only(body, "name")
            number = f"l{len(self.names_of_lists) + 1}"
            self.names_of_lists[number] = body["name"]
            return Reply(201, {"list": number})
        _, name, action = call.steps
        if name not in self.names_of_lists:
            raise Refusal(404, {"code": "no_such_list"})
        only(body, "numbers")
        self.check(body["numbers"], call.body)
        held = self.on_lists.setdefault(name, set())
        held.update(body["numbers"]) if action == "add" else held.difference_update(body["numbers"])
        return Reply(200, {"changed": len(body["numbers"])})

    def _post_events(self, call: Call) -> Reply:
        events = call.json()
        self.check(events, call.body)
        if any(each["id"] in self.unwanted for each in events):
            raise Refusal(422, {"code": "unwanted_person"})
        for each in events:
            only(each, "id", "event", "key")
            name = f"{each['id']} {each['event']}"
            self.tally[name] = self.tally.get(name, 0) + 1
        return Reply(200, {"counted": len(events)})

    def _post_imports(self, call: Call) -> Reply:
        rows = call.json()
        self.check(rows, call.body)
        bad = [at for at, each in enumerate(rows) if each["id"] in self.unwanted]
        for at, each in enumerate(rows):
            if at not in bad:
                self._write(each["id"], {each["key"]: each["value"]})
        return Reply(202, {"job": self.queue(bad)})

    def _get_imports(self, call: Call) -> Reply:
        bad = self.polled(call.steps[1])
        return Reply(200, {"status": "processing"} if bad is None else {"status": "completed", "rejected": bad})

    def _write(self, person: str, card: dict[str, Any]) -> None:
        self.numbers.setdefault(person, len(self.numbers) + 1)
        self.cards.setdefault(person, {}).update(card)

    def members(self, listed: str) -> set[str]:
        """The people on a list."""
        lists = [number for number, name in self.names_of_lists.items() if name == listed]
        members = self.on_lists.get(lists[0], set()) if lists else set()
        return {name for name, number in self.numbers.items() if number in members}


# --- its adapter --------------------------------------------------------------------------------------

ABOUT = About(
    forms=("property", "list", "event", "import"),
    title="Rolodex",
    settings=(
        Setting("url", "", is_required=True),
        Setting("key", "", is_required=True, is_secret=True),
        Setting("pause", ""),
    ),
    identifies=("user_id",),
    readable={"property": ("user_id",), "list": ("user_id",)},
)
LIST_STAGE = 1  # people before the lists they join
MOST_POLLS = 10
LONGEST_NAME = 150


def account(settings: Settings) -> str:
    return settings["url"]


def problems(settings: Settings) -> list[str]:
    return [] if settings["url"].startswith(("http", "${")) else ["'url' must start with http"]


def limits(settings: Settings) -> Limits:
    return Limits(3, 10_000, 1_000, rates={"people": 2_000.0}, lanes=4, timeout=0.5)


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for at, record in enumerate(records):
        yield _update(at, record, origin)


def _update(at: int, record: Record, origin: Origin) -> Update:
    person, key, value = record["id_value"], record["key"], json.loads(record["value"] or "null")
    if len(person) > LONGEST_NAME:
        return Update((at,), _json(person), problem="the name is too long")
    if record["form"] == LIST:
        action = "add" if value else "remove"
        return Update((at,), _json(person), f"lists/{origin.lists[key]}/{action}", LIST_STAGE)
    if record["form"] == "event":
        event = "entered" if value else "exited"
        return Update((at,), _json({"id": person, "event": event, "key": key}), "events", once=True)
    if record["form"] == "import":
        return Update((at,), _json({"id": person, "key": key, "value": value}), "imports")
    return Update((at,), _json({key: value}), f"people/{quote(person, safe='')}/{quote(key)}")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def listing(key: str, name: str, settings: Settings) -> Listing:
    """Ask for the list by its name, and make it where there is none."""
    found = yield _request("GET", f"lists?name={quote(name, safe='')}", b"", settings)
    if found.status != 200:
        return by_status(found.status)
    if number := (_object(found) or {}).get("list"):
        return str(number)
    made = yield _request("POST", "lists", _json({"name": name}), settings)
    number = (_object(made) or {}).get("list")
    return str(number) if made.status == 201 and number else by_status(made.status)


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    kind = updates[0].group.partition("/")[0]
    conversation = {"people": _person, "lists": _listed, "imports": _imported, "events": _counted}[kind]
    return conversation(updates, settings)


def _person(updates: Sequence[Update], settings: Settings) -> Exchange:
    _, person, _ = updates[0].group.split("/")
    return by_status((yield _request("PUT", f"people/{person}", updates[0].body, settings)).status)


def _listed(updates: Sequence[Update], settings: Settings) -> Exchange:
    """Ask for the numbers, then write them: whoever has none is not there."""
    people = [json.loads(each.body) for each in updates]
    found = yield _request("POST", "lookups", _json(people), settings, asks=True)
    numbers = _object(found)
    if found.status != 200 or numbers is None:
        return _unexpected(found)
    wanted = [numbers[each] for each in people if each in numbers]
    written = yield _request("POST", updates[0].group, _json({"numbers": wanted}), settings)
    verdict = by_status(written.status)
    if verdict.outcome != "delivered":
        return verdict
    is_added = updates[0].group.endswith("/add")
    nobody = Verdict("invalid" if is_added else "noop", "not known there")
    return [verdict if each in numbers else nobody for each in people]


def _imported(updates: Sequence[Update], settings: Settings) -> Exchange:
    """Hand in a job and ask for it until it is done: 202 says nothing of what becomes of it."""
    body = b"[" + b",".join(each.body for each in updates) + b"]"
    queued = yield _request("POST", "imports", body, settings)
    job = (_object(queued) or {}).get("job")
    if queued.status != 202 or not job:
        return _unexpected(queued)
    for _ in range(MOST_POLLS):
        polled = yield _request("GET", f"imports/{job}", b"", settings, after=float(settings.get("pause", "0.01")))
        done = _object(polled) or {}
        if polled.status != 200 or done.get("status") == "completed":
            return _finished(polled, done, len(updates))
    return Verdict("unknown", "the job is not finished", in_doubt=True)


def _finished(polled: Response, done: dict[str, Any], count: int) -> Answer:
    if polled.status != 200:
        return _unexpected(polled)
    rejected = set(done.get("rejected", ()))
    good, bad = Verdict("delivered", "the job is done"), Verdict("invalid", "the job names it")
    return [bad if at in rejected else good for at in range(count)]


def _counted(updates: Sequence[Update], settings: Settings) -> Exchange:
    body = b"[" + b",".join(each.body for each in updates) + b"]"
    return by_status((yield _request("POST", "events", body, settings)).status)


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    return (yield from _members(origin.lists[key], settings) if form == LIST else _cards(key, people, settings))


def _members(number: str, settings: Settings) -> Reading:
    found: Found = []
    at: Any = 0
    while at is not None:
        page = yield _request("GET", f"lists/{number}/members?from={at}", b"", settings)
        there = _object(page) or {}
        if page.status != 200 or "names" not in there:
            return _unexpected(page)
        found += [("user_id", each, True) for each in there["names"]]
        at = there.get("next")
    return found


def _cards(key: str, people: Sequence[tuple[str, str]], settings: Settings) -> Reading:
    found: Found = []
    for start in range(0, len(people), 3):
        asked = _json([each for _, each in people[start : start + 3]])
        answer = yield _request("POST", "cards", asked, settings, asks=True)
        cards = _object(answer)
        if answer.status != 200 or cards is None:
            return _unexpected(answer)
        there = {each: card.get(key) for each, card in cards.items() if isinstance(card, dict)}
        found += [("user_id", each, value) for each, value in there.items() if is_there(value)]
    return found


def _request(
    method: str, path: str, body: bytes, settings: Settings, *, after: float = 0.0, asks: bool = False
) -> Request:
    headers = {"Authorization": f"Bearer {settings['key']}", "Content-Type": "application/json"}
    return Request(method, f"{settings['url']}/{path}", headers, body, path.partition("/")[0], after, asks)


def _object(response: Response) -> dict[str, Any] | None:
    try:
        found = json.loads(response.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _unexpected(response: Response) -> Verdict:
    """What a status means that should not be there; a good one with nonsense leaves everything open."""
    verdict = by_status(response.status)
    nonsense = Verdict("unknown", f"HTTP {response.status}: the answer cannot be read", in_doubt=True)
    return nonsense if verdict.outcome == "delivered" else verdict
