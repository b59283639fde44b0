"""People in groups by chance, with definitions about both: nearly everybody shares an account with somebody else.

Values are few and plain, for what single values mean is tested of users.
"""

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from populace import nodes
from populace.definitions import Audience, Trait
from tests.generative import making
from tests.generative.account_oracle import People
from tests.generative.making import MOMENTS, built, each, either, just, of, several
from tests.tables import AS_OF

# --- people -----------------------------------------------------------------------------------

USERS = ["u1", "u2", "u3", "u4", "u5", None, None]
BROWSERS = {"u1": "a1", "u2": "a2", "u3": "a3", "u4": "a4", "u5": None, None: "a6"}
GROUPS = ["g1", "g2", "g3", "g4", " g1 ", "G1", "null"]
NAMES = ["E", "E", "E", "F"]
DATES = ["2024-03-31", "2024-03-30", "2024-03-31T12:00:00Z", "2024-03-31T11:00:00Z", "2024-04-01", "2024-03-07"]
WORDS = ["", "a", "B", "ab", "10", "true", "é"]
VALUES = {
    "n": [0, 1, 2, 10],
    "f": [0.5, 1.5, 10.5],
    "t": WORDS,
    "d": [*DATES, "a"],
    "b": [True, False],
    "m": [1, 10, "10", "a", True, "true", 0.5, *DATES[:3]],
    "l": [["a", 1], ["10", "b"], [], [10, "a", "a"], [True]],
}
TRAITS = {
    "custom": [0, 1, 10, "10", "a", "a", "ab", "ab", True, "true", None, *DATES],
    "other": [1, 2, "b", "ba", "a", None, *DATES[:4]],
    "object": [{"a": "x"}, {"a": 10}, {"a": {"b": 1}}, {"b": 1}, 5],
    "list": [["a", 1], ["10", "b"], [], [10, "a"], "a"],
}
SPANS = [timedelta(hours=hours) for hours in (2, 24, 48)]  # as long ago as many calls are, see MOMENTS


def people(chance):
    calls = [call(chance, f"m{number}") for number in chance.sample(range(10, 70), chance.randint(25, 50))]
    rules = chance.choice([None, None, *SPANS]), chance.random() < 0.3, chance.random() < 0.5
    return People(chance.sample(calls, len(calls)), *rules)


def call(chance, message_id):
    kind = chance.choice(["group", "group", "identify", "track", "track", "track"])
    user = chance.choice(USERS)
    own = BROWSERS[user] if chance.random() < 0.9 else chance.choice([*BROWSERS.values()])
    anonymous = own if user is None or chance.random() < 0.3 else None
    is_nobody = chance.random() < 0.05 or user is anonymous is None
    drawn = VALUES if kind == "track" else TRAITS
    said = {name: chance.choice(pool) for name, pool in drawn.items() if chance.random() < 0.6}
    if kind == "identify" and chance.random() < 0.1:
        said["email"] = f"{user or 'a6'}@x.com"
    return {
        "message_id": message_id,
        "type": kind,
        "event": chance.choice(NAMES) if kind == "track" else None,
        "user": "anonymous" if is_nobody else user,
        "anonymous": None if is_nobody else anonymous,
        "group": chance.choice(GROUPS) if kind == "group" else None,
        "context_group": chance.choice([None, *GROUPS]) if kind != "group" else None,
        "source": chance.choice(making.SOURCES),
        "timestamp": chance.choice(MOMENTS),
        "received_at": AS_OF + timedelta(hours=chance.randint(1, 2)),
        "traits": None if kind == "track" else said,
        "p": said if kind == "track" else None,
    }


# --- what is read -----------------------------------------------------------------------------

FIELDS = of([*map(nodes.Property, ["n", "f", "t", "d", "b", "m", "m", "never", "timestamp", "source"])])
TYPED = of([*map(nodes.Property, ["n", "f", "t", "d"])])  # whose values are in the table as they were sent
CUSTOM = ["custom", "custom", "other", "object.a", "list", "unknown"]
OF_ACCOUNTS = [*CUSTOM, "a_count", "a_last", "a_own", "a_big", "a_any"]
COMPUTED = ["count", "last"]  # of users with u_, of accounts with a_; they refer to nothing

account_traits = of([*map(nodes.TraitValue, OF_ACCOUNTS)])
of_accounts = of([*map(nodes.AccountTrait, OF_ACCOUNTS)])
user_traits = of([*map(nodes.TraitValue, [*CUSTOM, "u_count", "u_last", "u_active", "u_by_account"])])
constants = built(nodes.Literal, of([0, 1, 2, 10, 0.5, "a", "b", "ab", "10", "true", "false", "2024-03-31", "x"]))
parts = built(nodes.Literal, of(["", "a", "b", "1", "0", "2024", "Z", "e", 1, 10]))
truths = built(nodes.Literal, of(["true", "false", 1, 0]))
literals = either(constants, constants, constants, making.times)
filters = several(either(making.wheres, making.windows, making.sources, making.sessions), 0, 2)


def reducing(kind, *more, fields=FIELDS):
    return built(kind, making.streams(filters), fields, *more)


counts = built(nodes.Count, making.streams(filters))
scalars = either(
    counts, counts, reducing(nodes.Sum), reducing(nodes.Last), reducing(nodes.First), reducing(nodes.UniqueCount)
)


def beside(keys):
    """Events compared with what is known of their user, or account."""
    traits = of([*map(nodes.TraitValue, keys)])
    return built(nodes.Where, making.comparisons(FIELDS, others=traits))


# --- conditions -------------------------------------------------------------------------------


def asked(operands):
    """Conditions about these operands, by kind."""
    others = either(literals, literals, operands)
    number = several(others, 1, 3)
    texts = either(parts, parts, parts, operands)
    return {
        **{sign: making.comparisons(operands, [sign], others) for sign in making.OPERATORS},
        "exists": built(nodes.Exists, operands),
        "absent": built(nodes.Absent, operands),
        "one_of": built(nodes.OneOf, operands, number),
        "none_of": built(nodes.NoneOf, operands, number),
        "contains": built(nodes.Contains, operands, several(texts, 1, 2)),
        "omits": built(nodes.Not, built(nodes.Contains, operands, several(texts, 1, 2))),
        "starts_with": built(nodes.StartsWith, operands, texts),
        "ends_with": built(nodes.EndsWith, operands, texts),
        "dates": either(making.dated(operands), making.comparisons(operands, others=making.times)),
        "days": making.relative(operands),
    }


def leaves(operands):
    return either(*asked(operands).values())


def nested(terms, depth=2):
    """Terms below AND, OR and NOT, which may nest."""
    if depth == 0:
        return terms
    inner = nested(terms, depth - 1)
    joined = either(making.junctions(nodes.And, inner), making.junctions(nodes.Or, inner), built(nodes.Not, inner))
    return either(terms, joined, joined)


of_events = leaves(scalars)
of_users = leaves(either(scalars, user_traits))
own = leaves(account_traits)


def quantified(sign, terms):
    return built(nodes.Quantified, just(sign), terms)


def any_or_all(terms):
    return either(quantified("ANY", terms), quantified("ALL", terms))


def either_way(terms):
    """Terms and their opposites."""
    return either(terms, built(nodes.Not, terms))


some = built(nodes.Compare, counts, of([">=", "="]), built(nodes.Literal, of([0, 1])))
funnels = making.funnels(making.plainly_followed(making.within_hours))
# What about half of all users have, so that it matters whether one and the same user has several of them.
numbers = built(nodes.Literal, of([1, 2]))
counted = built(nodes.Compare, counts, of([">=", "<", "="]), numbers)
custom = either(
    built(nodes.Exists, of([*map(nodes.TraitValue, ["custom", "other", "object.a", "list"])])),
    built(nodes.Contains, just(nodes.TraitValue("custom")), several(parts, 1, 2)),
)
halves = either_way(either(counted, custom))
of_counted = built(nodes.Compare, just(nodes.TraitValue("u_count")), of(making.OPERATORS), numbers)
passed = of([*map(nodes.TraitValue, ["a_big", "a_any"])])
beside_traits = built(
    nodes.Compare, built(nodes.Count, making.streams(each(beside(["custom", "u_count", "u_last"])))), just(">="),
    built(nodes.Literal, of([1])),
)  # fmt: skip

QUANTIFIED = {
    "ANY": quantified("ANY", of_events),
    "ALL": quantified("ALL", of_events),
    "NOT ANY": built(nodes.Not, quantified("ANY", some)),
    "NOT ALL": built(nodes.Not, quantified("ALL", some)),
    "ANY NOT": quantified("ANY", built(nodes.Not, of_events)),
    "ALL NOT": quantified("ALL", built(nodes.Not, of_events)),
    "ANY some": quantified("ANY", some),
    "ALL some": quantified("ALL", some),
    "ANY trait": quantified("ANY", leaves(user_traits)),
    "ALL trait": quantified("ALL", leaves(user_traits)),
    "ANY of both": quantified("ANY", making.junctions(nodes.And, halves)),
    "ANY of either": quantified("ANY", making.junctions(nodes.Or, halves)),
    "ALL of both": quantified("ALL", making.junctions(nodes.And, halves)),
    "ALL of either": quantified("ALL", making.junctions(nodes.Or, halves)),
    "counted traits": any_or_all(of_counted),
    "ANY nested": quantified("ANY", nested(of_users)),
    "ALL nested": quantified("ALL", nested(of_users)),
    "ANY beside ANY": making.junctions(nodes.And, quantified("ANY", some)),
    "several": nested(any_or_all(of_users)),
    "beside their own": nested(either(any_or_all(of_users), own)),
    "funnels": any_or_all(funnels),
    "events beside traits": any_or_all(beside_traits),
    "account.trait": any_or_all(leaves(of_accounts)),
    "account.trait beside others": any_or_all(nested(either(leaves(of_accounts), of_users))),
}
OWN = asked(account_traits) | {"nested": nested(own)}
BY_ACCOUNT = asked(of_accounts) | {
    "not": built(nodes.Not, leaves(of_accounts)),
    "nested": nested(either(leaves(of_accounts), of_users)),
    "passed through": either_way(built(nodes.Compare, passed, of(["=", "!="]), truths)),
    "passed through by any means": nested(leaves(passed)),
    "one_of several": built(nodes.OneOf, either(user_traits, literals), several(of_accounts, 1, 2)),
    "beside traits": making.comparisons(of_accounts, others=user_traits),
}
REDUCERS = {
    "count": counts,
    "sum": reducing(nodes.Sum),
    "average": reducing(nodes.Average),
    "least": reducing(nodes.Min, making.casts),
    "greatest": reducing(nodes.Max, making.casts),
    "mode": reducing(nodes.Mode, of([1, 2]), just("string"), fields=either(TYPED, just(nodes.Property("l")))),
    "first": reducing(nodes.First, fields=TYPED),
    "last": reducing(nodes.Last, fields=TYPED),
    "unique": reducing(nodes.Unique),
    "unique count": reducing(nodes.UniqueCount),
    "within": built(nodes.Count, making.streams(each(making.windows))),
    "between": built(nodes.Count, making.streams(each(making.betweens))),
    "expires_after": built(nodes.Count, making.streams(each(making.sessions))),
    "followed": built(
        nodes.Count, making.streams(each(built(nodes.Where, making.plainly_followed(making.within_hours))))
    ),
    "beside traits": built(nodes.Count, making.streams(each(beside(["custom", "a_count", "a_last", "a_own"])))),
}


# --- definitions ------------------------------------------------------------------------------


class Kind(NamedTuple):
    """Definitions of one kind: traits of accounts, audiences of accounts, or audiences of users."""

    what: str
    queries: object


KINDS = (
    {f"trait of accounts, {name}": Kind("trait", made) for name, made in REDUCERS.items()}
    | {f"accounts with {name}": Kind("account", made) for name, made in (OWN | QUANTIFIED).items()}
    | {f"users by account.trait {name}": Kind("user", made) for name, made in BY_ACCOUNT.items()}
)


def attributed(chance, query, level):
    """Now and then with .of_account() for some of its events."""
    if level == "user" or chance.random() < 0.7:
        return query

    def change(node):
        is_chosen = isinstance(node, nodes.Event) and chance.random() < 0.6
        return replace(node, filters=(nodes.OfAccount(), *node.filters)) if is_chosen else node

    return nodes.rewritten(query, change)


def definition(chance, key, kind):
    query, level = kind.queries(chance), "user" if kind.what == "user" else "account"
    events_of = chance.choice(["users", "users", "account"]) if level == "account" else "users"
    query = attributed(chance, query, level)
    if kind.what == "trait":
        return Trait(key, query, level=level, events_of=events_of)
    return Audience(key, query, include_anonymous=chance.choice([None, True, False]), level=level, events_of=events_of)


def shared(chance):
    """What the definitions of a kind refer to; levels refer to each other by turns."""
    big = leaves(of([*map(nodes.TraitValue, ["custom", "other", "a_count"])]))
    a_any = any_or_all(either(some, built(nodes.Compare, just(nodes.TraitValue("u_active")), just("="), truths)))
    by_account = built(nodes.Compare, of([*map(nodes.AccountTrait, ["a_big", "a_count", "custom"])]), of("=>"), truths)
    return [
        Trait("u_count", counts(chance)),
        Trait("u_last", reducing(nodes.Last)(chance)),
        Trait("a_count", counts(chance), level="account"),
        Trait("a_last", reducing(nodes.Last)(chance), level="account"),
        Trait("a_own", counts(chance), level="account", events_of="account"),
        Audience("u_active", some(chance), include_anonymous=chance.choice([None, True])),
        Audience("u_by_account", by_account(chance)),
        Audience("a_big", big(chance), level="account"),
        Audience("a_any", a_any(chance), include_anonymous=chance.choice([None, True]), level="account"),
    ]


def definitions(chance, kind, number):
    """So many of a kind, and what they refer to."""
    made = [definition(chance, f"d{each}", kind) for each in range(number)]
    return [*shared(chance), *made]
