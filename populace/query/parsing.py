"""Text to nodes: which calls make sense after which.

A chain of calls starts as a stream of events (many rows per profile) or as a value (one). A filter keeps
a stream a stream, a reducer makes it a value, a comparison makes values true or false; after that only
AND and OR follow (reference 5.5).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from typing import Literal as OneOfThese

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from populace.definitions import (
    Absent,
    And,
    Compare,
    Condition,
    Context,
    Count,
    Event,
    Exists,
    Last,
    Literal,
    Not,
    OneOf,
    Operand,
    Or,
    Property,
    Reducer,
    Sum,
    TraitValue,
    Where,
    Within,
    walk,
)
from populace.query import names
from populace.query.names import QueryError, fail

MOST_EXPRESSIONS = 50
LONGEST_WINDOW_IN_DAYS = 36_500  # a century; much further back a window would leave the calendar

COMPARATORS = {"equals": "=", "differs": "!=", "greater_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}
FIELDS: dict[str, Any] = {"property": Property, "context": Context}
FIELD_REDUCERS: dict[str, Any] = {"sum": Sum, "last": Last}
EXTRACTORS = {"event", "trait", "literal", *FIELDS}
ON_STREAMS = {"where", "within", "count", *FIELD_REDUCERS}
ON_VALUES = {"exists", "absent", "one_of", *COMPARATORS}
NOT_YET = {
    *("entity", "sources", "between", "expires_after", "avg", "min", "max", "first", "unique", "mode"),
    *("contains", "omits", "none_of", "starts_with", "ends_with", "before_date", "after_date"),
    *("within_last", "within_next", "before_last", "after_next"),
}

# What a condition is about: the event at hand, which has properties, or the profile, which has traits.
Grain = OneOfThese["event", "profile"]
Part = Tree[Token]


def parse_trait(text: str) -> Reducer:
    """The reducer of a computed trait.

    Parameters
    ----------
    text
        A chain such as `event('X').within(7 days).count()`.

    Raises
    ------
    QueryError
        If the text is not in the language, or says something else than one value per profile (Q-2).
    """
    tree, node = _parse(text)
    if isinstance(node, Event):
        fail(tree, "a stream is not a value; add .count(), .sum(…) or .last(…)")
    if isinstance(node, Condition):
        fail(tree, "a trait needs a value, and this is true or false; drop the comparison or make it an audience")
    if not isinstance(node, Reducer):
        fail(tree, "a trait is computed from events; start with event('…')")
    return node


def parse_audience(text: str) -> Condition:
    """The condition of an audience.

    Parameters
    ----------
    text
        Comparisons joined by AND, OR and NOT.

    Raises
    ------
    QueryError
        If the text is not in the language, or is not true or false for a profile (Q-2).
    """
    tree, node = _parse(text)
    return _truth(tree, node)


# --- text to tree ---------------------------------------------------------------------------


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _parse(text: str) -> tuple[Part, Any]:
    try:
        tree: Any = _grammar().parse(text).children[0]
        node = _build(tree, "profile")
        _check_size(tree, node)
    except UnexpectedCharacters as error:
        message = "this string is not closed" if error.char in "'\"" else f"{error.char!r} is not part of the language"
        raise QueryError(message, error.line, error.column) from None
    except UnexpectedToken as error:
        raise _about_token(error, text) from None
    except RecursionError:
        message = "the query is nested too deeply"
        raise QueryError(message, 1, 1) from None
    return tree, node


def _about_token(error: UnexpectedToken, text: str) -> QueryError:
    token = error.token
    if token.type == "$END":
        lines = text.rstrip().split("\n")
        return QueryError("the query ends too early", len(lines), len(lines[-1]) + 1)
    message = f"{str(token)!r} cannot stand here"
    if token.upper() in {"AND", "OR", "NOT", "ANY", "ALL"} and not token.isupper():
        message += f"; write {token.upper()} in capitals"
    elif token.type == "NAME" and "_AND" in error.expected:
        message += "; conditions are joined by AND or OR"
    elif token.type == "DOT":
        message += "; only event(…), trait(…), property(…), context(…) and literal(…) take calls"
    return QueryError(message, token.line or 1, token.column or 1)


def _check_size(tree: Part, node: Any) -> None:
    leaves = (Compare, Exists, Absent, OneOf)
    count = sum(isinstance(each, leaves) for each in walk(node))
    if count > MOST_EXPRESSIONS:
        fail(tree, f"{count} expressions; a query has at most {MOST_EXPRESSIONS}")


# --- tree to nodes --------------------------------------------------------------------------


def _build(tree: Part, grain: Grain) -> Any:
    return _SHAPES[tree.data](tree, grain)


def _disjunction(tree: Any, grain: Grain) -> Or:
    return Or(tuple(_condition(each, grain) for each in tree.children))


def _conjunction(tree: Any, grain: Grain) -> And:
    return And(tuple(_condition(each, grain) for each in tree.children))


def _negation(tree: Any, grain: Grain) -> Not:
    return Not(_condition(tree.children[0], grain))


def _compared(tree: Any, grain: Grain) -> Compare:
    left, operator, right = tree.children
    sign: Any = "=" if operator == "==" else str(operator)
    return Compare(_value(left, grain), sign, _value(right, grain))


def _string(tree: Any, _grain: Grain) -> Literal:
    return Literal(names.string(tree.children[0]))


def _number(tree: Any, _grain: Grain) -> Literal:
    token = tree.children[0]
    value = float(token) if "." in token else int(token)
    if not -(2**63) <= value < 2**63:
        fail(token, "this number is too large")
    return Literal(value)


def _chain(tree: Any, grain: Grain) -> Any:
    first, *rest = tree.children
    node = _extract(first, grain)
    for call in rest:
        node = _apply(node, call, grain)
    return node


def _refused(tree: Any, _grain: Grain) -> Any:
    fail(tree, _REFUSALS[tree.data].format(*tree.children))


_REFUSALS = {
    "quantified": "{} belongs to ACCOUNTS definitions, which are not supported yet",
    "instant": "dates are not supported yet; a date in quotes is compared as text",
    "cast": "'as' belongs to min(), max() and mode(), which are not supported yet",
    "labelled": "{}: is not supported yet",
    "duration": "a duration belongs in within()",
    "listed": "a list belongs in one_of()",
}
_SHAPES: dict[str, Callable[[Any, Grain], Any]] = {
    "disjunction": _disjunction,
    "conjunction": _conjunction,
    "negation": _negation,
    "compared": _compared,
    "string": _string,
    "number": _number,
    "chain": _chain,
    **dict.fromkeys(_REFUSALS, _refused),
}


def _condition(tree: Part, grain: Grain) -> Condition:
    return _truth(tree, _build(tree, grain))


def _truth(tree: Part, node: Any) -> Condition:
    if isinstance(node, Event):
        fail(tree, "a stream is not true or false; add .count() >= 1")
    if isinstance(node, Count | Sum):
        fail(tree, "a number is not true or false; compare it, for example >= 1")
    if not isinstance(node, Condition):
        fail(tree, "a value is not true or false; compare it, for example = 'true', or add .exists()")
    return node


def _value(tree: Part, grain: Grain) -> Operand:
    node = _build(tree, grain)
    if isinstance(node, Event):
        fail(tree, "a stream cannot be compared; make it a value first: .count(), .sum(…) or .last(…)")
    if isinstance(node, Condition):
        fail(tree, "this is true or false already; only AND and OR may follow")
    value: Operand = node
    return value


# --- chains: an extractor and the calls that follow it ---------------------------------------


def _extract(call: Any, grain: Grain) -> Event | Operand:
    name = _name(call)
    if name not in EXTRACTORS:
        fail(name, f"{name}() follows something; a query starts with event('…') or trait('…')")
    if grain == "event" and name in {"event", "trait"}:
        fail(name, f"{name}() inside where() is not supported yet")
    if grain == "profile" and name in FIELDS:
        fail(name, f"{name}() belongs to an event; use it in where(), sum() or last()")
    argument = _only_argument(call)
    if name == "literal":
        return _constant(argument)
    quoted = _quoted(argument, name)
    if name == "event":
        return Event(names.string(quoted))
    return TraitValue(names.path(quoted)) if name == "trait" else FIELDS[name](names.path(quoted))


def _apply(node: Any, call: Any, grain: Grain) -> Any:
    name = _name(call)
    _check_follows(node, name)
    return _on_stream(node, name, call) if isinstance(node, Event) else _on_value(node, name, call, grain)


def _on_stream(stream: Event, name: Token, call: Any) -> Event | Reducer:
    if name == "count":
        _check_empty(call)
        return Count(stream)
    if name in FIELD_REDUCERS:
        return FIELD_REDUCERS[name](stream, _field(call, name))
    added = Where(_condition(_only_argument(call), "event")) if name == "where" else _within(call)
    return Event(stream.name, (*stream.filters, added))


def _on_value(value: Operand, name: Token, call: Any, grain: Grain) -> Condition:
    if name in COMPARATORS:
        sign: Any = COMPARATORS[name]
        return Compare(value, sign, _value(_only_argument(call), grain))
    if name == "one_of":
        return OneOf(value, _choices(call))
    _check_empty(call)
    return Exists(value) if name == "exists" else Absent(value)


def _name(call: Any) -> Token:
    name: Token = call.children[0]
    if name in NOT_YET:
        fail(name, f"{name}() is not supported yet")
    if name not in EXTRACTORS | ON_STREAMS | ON_VALUES:
        fail(name, f"there is no {name}()")
    if call.data == "braced" and name != "where":
        fail(name, f"{name}() takes no braces")
    return name


def _check_follows(node: Any, name: Token) -> None:
    if isinstance(node, Condition):
        fail(name, f"{name}() cannot follow what is true or false; only AND and OR may")
    if name in EXTRACTORS:
        fail(name, f"{name}() starts an expression; join expressions by AND or OR")
    if isinstance(node, Event) and name in ON_VALUES:
        fail(name, f"{name}() compares a value, and this is a stream; put .count(), .sum(…) or .last(…) before it")
    if not isinstance(node, Event) and name in ON_STREAMS:
        fail(name, f"{name}() needs a stream of events, and this is a value; compare it, for example >= 1")


# --- arguments ------------------------------------------------------------------------------


def _arguments(call: Any) -> list[Any]:
    return call.children[1].children if len(call.children) > 1 else []


def _only_argument(call: Any) -> Any:
    arguments = _arguments(call)
    if len(arguments) != 1:
        fail(call.children[0], f"{call.children[0]}() takes one argument")
    return arguments[0]


def _check_empty(call: Any) -> None:
    if _arguments(call):
        fail(call.children[0], f"{call.children[0]}() takes no argument")


def _field(call: Any, name: Token) -> Property | Context:
    argument = _only_argument(call)
    field = _build(argument, "event")
    if not isinstance(field, Property | Context):
        fail(argument, f"{name}() takes property('…') or context('…')")
    return field


def _quoted(argument: Any, name: Token) -> Token:
    if argument.data == "labelled":
        _refused(argument, "event")
    if argument.data != "string" or len(argument.children[0]) == len("''"):
        fail(argument, f"{name}() takes a name in quotes")
    quoted: Token = argument.children[0]
    return quoted


def _within(call: Any) -> Within:
    argument = _only_argument(call)
    if argument.data == "labelled":
        _refused(argument, "event")
    if argument.data != "duration":
        fail(argument, "within() takes a number of hours or days, for example within(7 days)")
    amount, unit = argument.children
    if unit not in {"hour", "hours", "day", "days"}:
        fail(unit, f"{unit} is not a unit of within(); it takes hours or days")
    if unit.startswith("hour"):
        return Within(_amount(amount, per_day=24), "hours")
    return Within(_amount(amount, per_day=1), "days")


def _amount(token: Token, *, per_day: int) -> int:
    most = LONGEST_WINDOW_IN_DAYS * per_day
    if not token.isdecimal() or not 1 <= int(token) <= most:
        fail(token, f"a window is a whole number from 1 to {most}; leave within() out for ever")
    return int(token)


def _choices(call: Any) -> tuple[Literal, ...]:
    arguments = _arguments(call)
    if len(arguments) == 1 and arguments[0].data == "listed":
        arguments = arguments[0].children[0].children
    if not arguments:
        fail(call.children[0], "one_of() takes at least one value")
    return tuple(map(_constant, arguments))


def _constant(tree: Any) -> Literal:
    node = _build(tree, "event")
    if not isinstance(node, Literal):
        fail(tree, "only a constant is supported here: a string or a number")
    return node
