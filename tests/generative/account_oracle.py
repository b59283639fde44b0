"""What definitions of accounts mean, and those of users that ask for accounts, in plain Python from a list of calls.

A call is `{"type", "event", "user", "anonymous", "group", "context_group", "source", "timestamp", "received_at",
"message_id", "traits", "p"}`; None is what it does not have. `People` are calls and the rules that make accounts of
them. What a query means of one person's events is said by `oracle`.

Users are told by the set of their identifiers, accounts by their normalised id. There are no limits here, so users are
whatever shares identifiers.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from populace import nodes
from tests.generative import oracle
from tests.generative.oracle import Given, Person, place

BLOCKED = ("null", "anonymous", "")


class People(NamedTuple):
    """Calls, and what `identity.yaml` and `space.yaml` say."""

    calls: list
    ttl: timedelta | None = None
    from_context: bool = False
    include_anonymous: bool = False


class World:
    """Everything that is so at an instant; definitions are traits and audiences with keys, levels and queries."""

    def __init__(self, people, definitions, as_of):
        self.people, self.as_of = people, as_of
        self.defined = {each.key: each for each in definitions}
        self.calls = sorted((each for each in people.calls if each["timestamp"] <= as_of), key=place)
        self.users = self._users()
        self.accounts, self.links = self._accounts()
        self.custom = defaultdict(list)
        self.events = defaultdict(list)
        for each in self.calls:
            self._note(each)
        self.known = {}

    # --- who there is -------------------------------------------------------------------------

    def _users(self):
        """Every identifier with the set of those that are the same person's."""
        found = {}
        for each in self.calls:
            joined = frozenset(identifiers(each))
            joined = joined.union(*(found[one] for one in joined if one in found))
            found |= dict.fromkeys(joined, joined)
        return found

    def user_of(self, call):
        return next((self.users[each] for each in identifiers(call)), None)

    def _accounts(self):
        """Accounts in the order of their creation, and the (user, account) of every link, each with its first call."""
        accounts, first, newest = {}, {}, {}
        for each in self.calls:
            for account in self.named(each):
                pair = self.user_of(each), account
                accounts.setdefault(account, each["message_id"])
                first.setdefault(pair, each["message_id"])
                newest[pair] = each["timestamp"]
        limit = None if self.people.ttl is None else self.as_of - self.people.ttl
        kept = [pair for pair, last in newest.items() if pair[0] and (limit is None or last >= limit)]
        return accounts, {pair: first[pair] for pair in kept}

    def named(self, call):
        """The accounts that a call makes."""
        written = [call["group"]] if call["type"] == "group" else []
        written += [call["context_group"]] if self.people.from_context else []
        return [each for each in map(normal, written) if each]

    def _note(self, call):
        """Whose events and custom traits a call brings."""
        user = self.user_of(call)
        whose = {"group": normal(call["group"]), "identify": user}.get(call["type"])
        for name, value in (call["traits"] or {}).items() if whose else ():
            self.custom[whose].append(call | {"profile": whose, "name": name, "value": value})
        if call["type"] == "track" and user:
            self.events[user].append(call | {"c": {}, "profile": user, "names": normal(call["context_group"])})

    def users_of(self, account):
        return [user for user, other in self.links if other == account]

    def accounts_of(self, user):
        return [account for one, account in self.links if one == user]

    # --- persons, as the oracle of queries takes them ------------------------------------------

    def user(self, user, account=None, events_of="users"):
        """A user, as one of an account or for themselves."""
        events = naming(account, self.events[user]) if events_of == "account" else self.events[user]
        made = {"events": events, "custom": self.custom[user], "trait": self.users_trait, "account": account}
        return Person(made, user, self.as_of)

    def account(self, account, events_of="users"):
        """An account, whose events are those of its users."""
        events = [each for user in self.users_of(account) for each in self.events[user]]
        events = [each | {"profile": account} for each in events]
        if events_of == "account":
            events = naming(account, events)
        made = {"events": events, "custom": self.custom[account], "trait": self.accounts_trait, "account": account}
        return Person(made, account, self.as_of)

    def users_trait(self, person, key):
        """Of an audience of accounts: whether one of theirs is a member (A-33)."""
        defined = self.defined.get(key)
        if getattr(defined, "level", None) == "account":
            return any(self.is_member(defined, each) for each in self.accounts_of(person.profile))
        return self.read(defined, key, person.profile, self.user(person.profile))

    def accounts_trait(self, person, key):
        defined = self.defined.get(key)
        return self.read(defined, key, person.profile, self.account(person.profile, events_of(defined)))

    def read(self, defined, key, profile, person):
        if defined is None:
            return oracle.custom(person, key)
        if is_audience(defined):
            return self.is_member(defined, profile)
        if (key, profile) not in self.known:
            self.known[key, profile] = oracle.read_reduced(defined.query, person)
        return self.known[key, profile]

    # --- conditions -----------------------------------------------------------------------------

    def holds(self, node, person, audience):
        """Whether a condition of an audience holds for an account or a user."""
        kind = type(node)
        if kind is nodes.And:
            return all(self.holds(term, person, audience) for term in node.terms)
        if kind is nodes.Or:
            return any(self.holds(term, person, audience) for term in node.terms)
        if kind is nodes.Not:
            return not self.holds(node.term, person, audience)
        if kind is nodes.Quantified:
            found = [self.holds(node.term, each, audience) for each in self.asked(person.profile, audience)]
            return any(found) if node.quantifier == "ANY" else bool(found) and all(found)
        return self.holds_of_one(node, person)

    def asked(self, account, audience):
        """The users that ANY and ALL are about."""
        counting = [each for each in self.users_of(account) if self.counts(each, audience)]
        return [self.user(each, account, audience.events_of) for each in counting]

    def counts(self, user, audience):
        own = audience.include_anonymous
        return is_known(user) or (self.people.include_anonymous if own is None else own)

    def holds_of_one(self, leaf, person):
        """A comparison, which with account.trait() is asked of each account (O-16)."""
        operands = [each for each in nodes.children(leaf) if type(each) is nodes.AccountTrait]
        if not operands:
            return oracle.holds(leaf, person)
        if type(leaf) is nodes.Absent:
            return not self.holds_of_one(nodes.Exists(leaf.operand), person)
        if type(leaf) is nodes.NoneOf and leaf.operand in operands:
            equal = nodes.OneOf(leaf.operand, leaf.choices)
            is_there = self.holds_of_one(nodes.Exists(leaf.operand), person)
            return is_there and not self.holds_of_one(equal, person)
        return any(oracle.holds(self.asked_of(each, leaf, person), person) for each in self.accounts_of(person.profile))

    def asked_of(self, account, leaf, person):
        """A comparison with what it reads of one account in its place."""

        def known(operand):
            if type(operand) is not nodes.AccountTrait:
                return operand
            return Given(self.accounts_trait(self.account(account), operand.key))

        named = {name: getattr(leaf, name) for name in ("left", "right", "operand", "affix") if hasattr(leaf, name)}
        told = {name: known(each) for name, each in named.items()}
        if hasattr(leaf, "choices"):
            told["choices"] = tuple(map(known, leaf.choices))
        return replace(leaf, **told)

    # --- what is asked --------------------------------------------------------------------------

    def is_member(self, audience, profile):
        if (audience.key, profile) not in self.known:
            self.known[audience.key, profile] = self._is_member(audience, profile)
        return self.known[audience.key, profile]

    def _is_member(self, audience, profile):
        if audience.level == "account":
            return self.holds(audience.query, self.account(profile), audience)
        return self.counts(profile, audience) and self.holds(audience.query, self.user(profile), audience)

    def members(self, key):
        return {each for each in self.everybody(key) if self.is_member(self.defined[key], each)}

    def values(self, key):
        """Of a computed trait: a value for each who has one."""
        defined = self.defined[key]
        whose = self.user if defined.level == "user" else lambda each: self.account(each, defined.events_of)
        found = {each: oracle.reduced(defined.query, whose(each)) for each in self.everybody(key)}
        return {each: value for each, value in found.items() if value is not None}

    def everybody(self, key):
        return self.accounts if self.defined[key].level == "account" else set(self.users.values())

    def custom_values(self):
        """{account or user: {name: value}}, without what was taken back."""
        found = {}
        for whose, rows in self.custom.items():
            newest = {row["name"]: row["value"] for row in rows}  # in the order of events
            if kept := {name: value for name, value in newest.items() if value is not None}:
                found[whose] = kept
        return found


def identifiers(call):
    """What a call says of who it is about, each (type, value)."""
    found = [("user_id", normal(call["user"])), ("anonymous_id", normal(call["anonymous"]))]
    found += [("email", normal((call["traits"] or {}).get("email")))] if call["type"] == "identify" else []
    return [each for each in found if each[1]]


def normal(written):
    """An identifier without blanks around it; None where it is blocked, or there is none."""
    trimmed = (written or "").strip()
    return None if trimmed in BLOCKED else trimmed


def is_known(user):
    return any(id_type in ("user_id", "email") for id_type, _ in user)


def naming(account, events):
    return [each for each in events if each["names"] == account]


def events_of(defined):
    return "users" if defined is None or is_audience(defined) else defined.events_of


def is_audience(defined):
    return hasattr(defined, "include_anonymous")
