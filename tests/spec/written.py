"""Nodes that the tests of the language write again and again."""

from populace.nodes import Compare, Count, Event, Literal, TraitValue

A, E = TraitValue("a"), Event("E")


def trait(key, value):
    return Compare(TraitValue(key), "=", Literal(value))


def at_least_one(stream):
    return Compare(Count(stream), ">=", Literal(1))
