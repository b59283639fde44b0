"""A tree to nodes: every call with its arguments, where `types` lets it stand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lark import Token

from populace.nodes import (
    Absent,
    AccountTrait,
    And,
    Average,
    Between,
    Compare,
    Condition,
    Contains,
    Context,
    Count,
    Dated,
    EndsWith,
    Entity,
    Event,
    Exists,
    ExpiresAfter,
    Filter,
    First,
    Last,
    Literal,
    Max,
    Min,
    Mode,
    NoneOf,
    Not,
    OfAccount,
    OneOf,
    Operand,
    Or,
    Property,
    Quantified,
    Reducer,
    Relative,
    Sources,
    StartsWith,
    Stream,
    Sum,
    TraitValue,
    Unique,
    UniqueCount,
    Where,
    Within,
)
from populace.query import arguments, constants, names, types
from populace.query.names import fail
from populace.query.types import Part, Scope


def build(tree: Part, scope: Scope) -> Any:
    """The node of a part of the tree: a condition, a value or a stream."""
    return _SHAPES[tree.data](tree, scope)


def _condition(tree: Part, scope: Scope) -> Condition:
    return types.truth(tree, build(tree, scope))


def _value(tree: Part, scope: Scope) -> Operand:
    return types.one_value(tree, build(tree, scope))


# --- junctions and constants ----------------------------------------------------------------


def _disjunction(tree: Any, scope: Scope) -> Or:
    return Or(tuple(_condition(each, scope) for each in tree.children))


def _conjunction(tree: Any, scope: Scope) -> And:
    return And(tuple(_condition(each, scope) for each in tree.children))


def _negation(tree: Any, scope: Scope) -> Not:
    return Not(_condition(tree.children[0], scope))


def _quantified(tree: Any, scope: Scope) -> Quantified:
    quantifier, term = tree.children
    if scope.level != "accounts":
        fail(quantifier, f"{quantifier} belongs in audiences of accounts, and this is about users")
    if scope.rows:
        fail(quantifier, f"{quantifier} is about the users of an account; it cannot stand inside where()")
    if scope.is_quantified:
        fail(quantifier, f"{quantifier} cannot stand inside another ANY or ALL")
    sign: Any = str(quantifier)
    return Quantified(sign, _condition(term, replace(scope, has_events=True, is_quantified=True)))


def _compared(tree: Any, scope: Scope) -> Compare:
    left, operator, right = tree.children
    sign: Any = "=" if operator == "==" else str(operator)
    return Compare(_value(left, scope), sign, _value(right, scope))


def _chain(tree: Any, scope: Scope) -> Any:
    first, *rest = tree.children
    node = _of_account(first, scope) if first.data == "of_account" else _extract(first, scope)
    for call in rest:
        node = _apply(node, call, scope)
    return node


_SHAPES: dict[str, Callable[[Any, Scope], Any]] = {
    "disjunction": _disjunction,
    "conjunction": _conjunction,
    "negation": _negation,
    "quantified": _quantified,
    "compared": _compared,
    "chain": _chain,
    "string": lambda tree, _: Literal(names.string(tree.children[0])),
    "number": lambda tree, _: constants.number(tree.children[0]),
    "instant": lambda tree, _: constants.instant(tree.children[0]),
    **dict.fromkeys(("labelled", *arguments.REFUSALS), lambda tree, _: arguments.refuse(tree)),
}


# --- chains: an extractor and the calls that follow it ---------------------------------------


def _extract(call: Any, scope: Scope) -> Stream | Operand:
    name = types.called(call)
    if name not in types.EXTRACTORS:
        fail(name, f"{name}() follows something; a query starts with event('…') or trait('…')")
    types.check_start(name, scope)
    argument = arguments.only(call)
    if name == "literal":
        return _constant(argument, scope)
    if name == "property":
        argument, is_of_parent = arguments.without("parent", argument)
        if is_of_parent and len(scope.rows) < 2:
            fail(call, types.NO_PARENT)
        return Property(names.path_with_elements(arguments.quoted(argument, name)), is_of_parent)
    read, node = EXTRACTORS[name]
    return node(read(arguments.quoted(argument, name)))


def _of_account(tree: Any, scope: Scope) -> AccountTrait:
    account, call = tree.children
    types.check_of_account(account, types.called(call), scope)
    return AccountTrait(names.path(arguments.quoted(arguments.only(call), "trait")))


def _constant(tree: Part, scope: Scope) -> Literal:
    node = build(tree, scope)
    if not isinstance(node, Literal):
        fail(tree, "literal() takes a string in quotes, a number, a date or a timestamp")
    return node


def _apply(node: Any, call: Any, scope: Scope) -> Any:
    name = types.called(call)
    types.check_follows(node, name)
    if isinstance(node, Stream):
        return _on_stream(node, name, call, scope)
    if isinstance(node, Unique):
        arguments.check_empty(call)
        return UniqueCount(node.stream, node.of)
    return COMPARISONS[name](node, call, scope)


def _on_stream(stream: Stream, name: Token, call: Any, scope: Scope) -> Stream | Reducer:
    if name in types.FILTERS:
        return replace(stream, filters=(*stream.filters, FILTERS[name](stream, call, scope)))
    return REDUCERS[name](stream, call, scope)


# --- what follows a stream: filters and reducers ----------------------------------------------


def _where(stream: Stream, call: Any, scope: Scope) -> Where:
    return Where(_condition(arguments.only(call), scope.inside(stream)))


def _within(_stream: Stream, call: Any, scope: Scope) -> Within:
    argument, is_after_parent = arguments.without("parent", arguments.only(call))
    if is_after_parent:
        types.check_parent(call, scope)
    return Within(arguments.window(call, argument, least=1), is_after_parent)


def _between(_stream: Stream, call: Any, scope: Scope) -> Between:
    found = arguments.all_of(call)
    if len(found) != 2:
        fail(call, "between() takes two durations, for example between(7 days, 14 days)")
    first, is_after_parent = arguments.without("parent", found[0])
    if is_after_parent:
        types.check_parent(call, scope)
    shortest, longest = (arguments.window(call, each, least=0) for each in (first, found[1]))
    return Between(shortest, longest, is_after_parent)


def _expires_after(stream: Stream, call: Any, _scope: Scope) -> ExpiresAfter:
    if isinstance(stream, Entity):
        fail(call, "expires_after() makes sessions of events; rows of a linked table have none")
    argument, expire = arguments.without("expire", arguments.only(call))  # parent: has no meaning here
    return ExpiresAfter(arguments.session(call, argument), expire)


def _of_the_account(stream: Stream, call: Any, scope: Scope) -> OfAccount:
    arguments.check_empty(call)
    if scope.level != "accounts" or isinstance(stream, Entity):
        fail(call, "of_account() keeps the events that name an account; it belongs in definitions of `level: account`")
    return OfAccount()


def _count(stream: Stream, call: Any, _scope: Scope) -> Count:
    arguments.check_empty(call)
    return Count(stream)


def _of_field(node: Any) -> Callable[[Stream, Any, Scope], Reducer]:
    return lambda stream, call, scope: node(stream, _field(stream, call, arguments.only(call), scope))


def _extreme(node: Any) -> Callable[[Stream, Any, Scope], Reducer]:
    def made(stream: Stream, call: Any, scope: Scope) -> Reducer:
        argument, cast = _cast(call, arguments.only(call), ("number", "string"))
        return node(stream, _field(stream, call, argument, scope), *cast)

    return made


def _mode(stream: Stream, call: Any, scope: Scope) -> Mode:
    found = arguments.all_of(call)
    if len(found) != 2:
        fail(call, "mode() takes its minimum frequency as well, for example mode(property('a'), 2)")
    argument, cast = _cast(call, found[0], ("string", "number", "array"))
    least = found[1].children[0] if found[1].data == "number" else None
    if least is None or not least.isdecimal() or not 1 <= constants.whole(least) < 2**63:
        fail(found[1], "the minimum frequency of mode() is a whole number of at least 1")
    return Mode(stream, _field(stream, call, argument, scope), constants.whole(least), *cast)


def _cast(call: Any, argument: Any, known: tuple[str, ...]) -> tuple[Any, tuple[Any, ...]]:
    if argument.data != "cast":
        return argument, ()
    field, cast = argument.children
    if cast not in known:
        fail(cast, f"{call.children[0]}() has no 'as {cast}'; it takes as {' or as '.join(known)}")
    return field, (str(cast),)


def _field(stream: Stream, call: Any, argument: Any, scope: Scope) -> Property | Context:
    field = build(argument, scope.inside(stream))
    if not isinstance(field, Property | Context):
        fail(argument, f"{call.children[0]}() takes property('…') or context('…')")
    if isinstance(field, Property) and field.parent:
        fail(argument, f"{call.children[0]}() takes a property of its own rows, not of their parent")
    return field


# --- what follows a value: comparisons --------------------------------------------------------


def _compares(name: str) -> Callable[[Operand, Any, Scope], Condition]:
    sign: Any = COMPARATORS[name]
    return lambda value, call, scope: Compare(value, sign, _value(arguments.only(call), scope))


def _is_there(node: Any) -> Callable[[Operand, Any, Scope], Condition]:
    def made(value: Operand, call: Any, _scope: Scope) -> Condition:
        arguments.check_empty(call)
        return node(value)

    return made


def _of_choices(node: Any) -> Callable[[Operand, Any, Scope], Condition]:
    def made(value: Operand, call: Any, scope: Scope) -> Condition:
        found = arguments.listed(call, arguments.all_of(call))
        return node(value, tuple(_value(each, scope) for each in found))

    return made


def _of_affix(node: Any) -> Callable[[Operand, Any, Scope], Condition]:
    return lambda value, call, scope: node(value, _value(arguments.only(call), scope))


def _omits(value: Operand, call: Any, scope: Scope) -> Not:
    return Not(Contains(value, (_value(arguments.only(call), scope),)))


def _dated(value: Operand, call: Any, scope: Scope) -> Dated:
    argument, side = arguments.only(call), call.children[0]
    than: Any = build(argument, scope)
    if isinstance(than, Literal) and isinstance(than.value, str):
        than = constants.dated(than.value)
    if not isinstance(than, Literal) or isinstance(than.value, int | float):
        fail(argument, f"{side}() takes a date; {constants.WRITTEN}")
    name: Any = str(side)
    return Dated(value, name, than)


def _relative(value: Operand, call: Any, _scope: Scope) -> Relative:
    side: Any = str(call.children[0])
    return Relative(value, side, arguments.window(call, arguments.only(call), least=0))


# --- every call there is ----------------------------------------------------------------------

COMPARATORS = {"equals": "=", "differs": "!=", "greater_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}
EXTRACTORS: dict[str, tuple[Callable[[Token], str], Any]] = {
    "event": (names.string, Event),
    "entity": (names.string, Entity),
    "trait": (names.path, TraitValue),
    "property": (names.path_with_elements, Property),
    "context": (names.path, Context),
    "literal": (names.string, Literal),
}
FILTERS: dict[str, Callable[[Stream, Any, Scope], Filter]] = {
    "where": _where,
    "within": _within,
    "between": _between,
    "expires_after": _expires_after,
    "of_account": _of_the_account,
    "sources": lambda _stream, call, _scope: Sources(arguments.excluded(call)),
}
REDUCERS: dict[str, Callable[[Stream, Any, Scope], Reducer]] = {
    "count": _count,
    "min": _extreme(Min),
    "max": _extreme(Max),
    "mode": _mode,
    **{
        name: _of_field(node)
        for name, node in {"sum": Sum, "avg": Average, "first": First, "last": Last, "unique": Unique}.items()
    },
}
COMPARISONS: dict[str, Callable[[Operand, Any, Scope], Condition]] = {
    **{name: _compares(name) for name in COMPARATORS},
    "exists": _is_there(Exists),
    "absent": _is_there(Absent),
    "one_of": _of_choices(OneOf),
    "none_of": _of_choices(NoneOf),
    "contains": _of_choices(Contains),
    "starts_with": _of_affix(StartsWith),
    "ends_with": _of_affix(EndsWith),
    "omits": _omits,
    **dict.fromkeys(("before_date", "after_date"), _dated),
    **dict.fromkeys(("within_last", "within_next", "before_last", "after_next"), _relative),
}
