"""The types of a chain: which call may follow which, where it may stand, and what is true or false (reference, 5.5).

A chain of calls starts as a stream (many rows per profile) or as a value (one). A filter keeps a stream a
stream, a reducer makes it a value, `unique` makes it a list, which can only be counted. A comparison makes
values true or false; after that only AND and OR follow.
"""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any
from typing import Literal as OneOfThese

from lark import Token, Tree

from populace.nodes import Average, Condition, Count, Event, Operand, Stream, Sum, Unique, UniqueCount
from populace.query.names import fail

Level = OneOfThese["users", "accounts"]
Part = Tree[Token]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a part of a query stands: the rows around it, outermost first, and whose they are.

    `has_events` is false where it is unsaid whose events are meant: in an account's audience, but for what
    ANY or ALL makes a condition of its users (Q-26).
    """

    level: Level
    has_events: bool
    rows: tuple[OneOfThese["event", "entity"], ...] = ()
    is_quantified: bool = False

    @property
    def row(self) -> OneOfThese["event", "entity"] | None:
        return self.rows[-1] if self.rows else None

    def inside(self, stream: Stream) -> "Scope":
        return replace(self, rows=(*self.rows, "event" if isinstance(stream, Event) else "entity"))


# --- the calls there are, by what they make ---------------------------------------------------

STREAMS = {"event", "entity"}
FIELDS = {"property", "context"}
EXTRACTORS = {"trait", "literal", *STREAMS, *FIELDS}
FILTERS = {"where", "sources", "within", "between", "expires_after", "of_account"}
REDUCERS = {"count", "sum", "avg", "min", "max", "mode", "first", "last", "unique"}
COMPARISONS = {
    *("equals", "differs", "greater_than", "at_least", "less_than", "at_most", "exists", "absent"),
    *("one_of", "none_of", "contains", "omits", "starts_with", "ends_with"),
    *("before_date", "after_date", "within_last", "within_next", "before_last", "after_next"),
}
CALLS = EXTRACTORS | FILTERS | REDUCERS | COMPARISONS
BRACED = {"where", "sources"}

KEYWORDS = {"AND", "OR", "NOT", "ANY", "ALL"}
HINTS = {
    "within": "for a date write within_last(7 days)",
    "between": "for a date write within_last(7 days), for a number >= and <=",
    "within_last": "for the events of the last days write within(7 days)",
}
NO_PARENT = "there is no parent event here; parent: stands inside where() of another event()"


def called(call: Any) -> Token:
    """The name of a call, which has to be in the language."""
    name: Token = call.children[0]
    if name not in CALLS:
        fail(name, f"there is no {name}(){_meant(name)}")
    if call.data == "braced" and name not in BRACED:
        fail(name, f"{name}() takes no braces")
    return name


def _meant(name: str) -> str:
    if name.upper() in KEYWORDS:
        return f"; write {name.upper()} in capitals"
    if name.lower() in CALLS:
        return f"; write {name.lower()}() in small letters"
    return "".join(f"; did you mean {each}()?" for each in get_close_matches(name, sorted(CALLS), n=1))


# --- where a call may stand -------------------------------------------------------------------


def check_start(name: Token, scope: Scope) -> None:
    """Refuse a start of a chain that says nothing where it stands."""
    if name in FIELDS and scope.row is None:
        fail(name, f"{name}() belongs to an event; use it in where() or in a reducer such as sum() or last()")
    if name == "context" and scope.row == "entity":
        fail(name, "context() belongs to an event; rows of a linked table have properties only")
    if name in STREAMS and scope.row not in (None, name):
        fail(name, f"{name}() cannot stand inside where() of {scope.row}()")
    if name == "event" and not scope.has_events:
        hint = "write ANY or ALL before the condition, or use trait() of the account's computed trait"
        fail(name, f"event() belongs to a user, and this is an account; {hint}")


def check_of_account(account: Token, name: Token, scope: Scope) -> None:
    """Refuse `account.` before anything but trait(), and where it is not a user whose accounts are meant (O-16)."""
    if name != "trait":
        fail(account, f"account.{name}() does not exist; of a user's accounts there is account.trait('…')")
    if scope.rows:
        fail(account, "account.trait() cannot stand inside where(); compare it beside the event, joined by AND")
    if scope.level == "accounts" and not scope.is_quantified:
        fail(account, "this is about accounts already; write trait('…')")


def check_follows(node: Any, name: Token) -> None:
    """Refuse a call after something of the wrong type."""
    if isinstance(node, Condition):
        fail(name, f"{name}() cannot follow what is true or false; only AND and OR may")
    if name in EXTRACTORS:
        fail(name, f"{name}() starts an expression; join expressions by AND or OR")
    if isinstance(node, Unique) and name != "count":
        fail(name, f"{name}() cannot follow unique(), which is a list; only .count() may")
    if isinstance(node, Stream) and name in COMPARISONS:
        hint = "put .count(), .sum(…) or .last(…) before it"
        fail(name, f"{name}() compares a value, and this is a stream; {HINTS.get(name, hint)}")
    if not isinstance(node, Stream | Unique) and name not in COMPARISONS:
        hint = HINTS.get(name, "compare it, for example >= 1")
        fail(name, f"{name}() needs a stream of events, and this is a value; {hint}")


def check_parent(call: Any, scope: Scope) -> None:
    """Refuse `parent:` of a window where no event is around it."""
    if scope.row != "event":
        fail(call, NO_PARENT)


# --- what a part has to be ----------------------------------------------------------------------


def truth(tree: Part, node: Any) -> Condition:
    """The node, which has to be true or false."""
    if isinstance(node, Stream):
        fail(tree, "a stream is not true or false; add .count() >= 1")
    if isinstance(node, Unique):
        fail(tree, "a list is not true or false; add .count() >= 1")
    if isinstance(node, Count | Sum | Average | UniqueCount):
        fail(tree, "a number is not true or false; compare it, for example >= 1")
    if not isinstance(node, Condition):
        fail(tree, "a value is not true or false; compare it, for example = 'true', or add .exists()")
    return node


def one_value(tree: Part, node: Any) -> Operand:
    """The node, which has to be one value to compare."""
    if isinstance(node, Stream):
        fail(tree, "a stream cannot be compared; make it a value first: .count(), .sum(…) or .last(…)")
    if isinstance(node, Unique):
        fail(tree, "a list cannot be compared; add .count() to unique(…)")
    if isinstance(node, Condition):
        fail(tree, "this is true or false already; only AND and OR may follow")
    value: Operand = node
    return value
