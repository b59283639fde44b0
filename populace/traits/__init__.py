"""Events to values: every reducer of a space in one pass over each event table.

Reducers of all definitions are collected and equal ones computed once (`planning`). A table is scanned once, and the
filters of each reducer are masks on its rows (`masks`). What counts and sums is added up mask by mask (`adding`); those
that look at each value apart share a grouping by profile and value (`listing`); the others are columns of one grouping
by profile (`reducing`). Funnels pair events with those that they follow and reduce the pairs (`related`). Where events
are compared with traits of their person, there are several passes (`rounds`). What a family consists of follows from
the values that are seen (`families`), and reducers that differ only in the value of a field are computed together
(`splitting`). Nothing depends on the order of rows: where order matters it is (timestamp, received_at, message_id),
E-27.
"""

from populace.traits.custom import newest
from populace.traits.families import expanded, member, naming, seen
from populace.traits.masks import NAMES_ACCOUNT
from populace.traits.planning import GROUP_PATH, ORDER, Needs, explain, reducers, requirements
from populace.traits.reducing import reduce
from populace.traits.rounds import rounds
from populace.traits.values import column, compute

__all__ = [
    "GROUP_PATH", "NAMES_ACCOUNT", "ORDER", "Needs", "column", "compute", "expanded", "explain", "member", "naming",
    "newest", "reduce", "reducers", "requirements", "rounds", "seen",
]  # fmt: skip
