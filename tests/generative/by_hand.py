"""People and events of the oracle, written by hand."""

from datetime import timedelta

from populace.nodes import Compare, Count, Duration, Event, Literal, Property
from tests.generative import oracle
from tests.tables import AS_OF

BARE = Event("E")
X, A = Property("x"), Property("x.$")
PARENT = True


def event(name, days_ago, source="web", **properties):
    return {"event": name, "timestamp": AS_OF - timedelta(days=days_ago), "source": source, "p": properties, "c": {}}


def space(*events, custom=(), traits=(), audiences=(), as_of=AS_OF):
    """One profile with these events, in any order but by default received when they happened."""
    filled = [
        {"profile": 1, "received_at": each["timestamp"], "message_id": f"m{number}"} | each
        for number, each in enumerate(events)
    ]
    rows = [
        {"profile": 1, "name": name, "value": value, "timestamp": AS_OF, "received_at": AS_OF, "message_id": name}
        for name, value in dict(custom).items()
    ]
    made = {"events": filled, "custom": rows, "traits": dict(traits), "audiences": dict(audiences)}
    made |= {"profiles": {1: True}, "anonymous": dict.fromkeys(dict(audiences)), "include_anonymous": False}
    return oracle.Person(made, 1, as_of)


def days(amount):
    return Duration(amount, "days")


def hours(amount):
    return Duration(amount, "hours")


def at_least_one(name, *filters):
    return Compare(Count(Event(name, filters)), ">=", Literal(1))


def none(name, *filters):
    return Compare(Count(Event(name, filters)), "=", Literal(0))


def has(path, sign, value):
    return Compare(Property(path), sign, Literal(value))
