"""Entries of `traits.yaml` and `audiences.yaml` as nodes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from populace import query
from populace.definitions import Audience, Delivery, EventsOf, Family, Level, Sql, Trait
from populace.loading import destinations, shapes, statements
from populace.loading.documents import Document, Keys
from populace.nodes import Field, Query
from populace.query import Level as Viewpoint

Q = TypeVar("Q", bound=Query | Field)

VIEWPOINTS: Mapping[Level, Viewpoint] = {"user": "users", "account": "accounts"}


@dataclass(frozen=True, slots=True)
class Computed:
    """Makes the traits and audiences of one space; problems are noted in their documents."""

    documents: Mapping[str, Document]

    def trait(self, key: str, shape: shapes.TraitShape) -> Trait | Family | Sql | None:
        """One entry of `traits.yaml`; None where it says nothing that can be computed."""
        if shape.sql is not None:
            return self._sql(key, shape, shape.sql)
        if shape.query is None:
            self._problem("traits", (key,), f"'{key}': write `query`, or `sql` for a trait from a database")
            return None
        reducer = self._query(
            "traits", key, "query", shape.query, partial(query.parse_trait, level=VIEWPOINTS[shape.level])
        )
        of_each = shape.for_each and self._query("traits", key, "for_each", shape.for_each, query.parse_field)
        deliveries, events_of = self._deliveries("traits", key, shape), self._events_of("traits", key, shape)
        if shape.most is not None and shape.for_each is None:
            self._problem("traits", (key, "max"), f"'{key}' is one trait; `max` belongs to `for_each`")
        if shape.for_each is not None and shape.level == "account":
            self._problem(
                "traits", (key, "level"), f"'{key}': the traits of `for_each` are people's; leave `level` out"
            )
        if reducer is None or (shape.for_each and not of_each):
            return None
        if shape.expire:
            lacking = "expires_after() that may expire"
            reducer = self._changed("traits", key, "expire", reducer, query.expiring, lacking)
        if events_of == "account":
            reducer = self._changed("traits", key, "events_of", reducer, query.attributed, "event()")
        at = self.documents["traits"].place((key,))
        if isinstance(of_each, Field):
            most = shapes.MOST_OF_A_FAMILY if shape.most is None else shape.most
            return Family(key, of_each, reducer, most, shape.description, deliveries, at)
        return Trait(key, reducer, shape.description, deliveries, at, shape.level, events_of)

    def audience(self, key: str, shape: shapes.AudienceShape) -> Audience | None:
        """One entry of `audiences.yaml`."""
        parse = partial(query.parse_audience, level=VIEWPOINTS[shape.level])
        condition = self._query("audiences", key, "query", shape.query, parse)
        deliveries, events_of = self._deliveries("audiences", key, shape), self._events_of("audiences", key, shape)
        at = self.documents["audiences"].place((key,))
        if condition is None:
            return None
        if shape.wait_for_window:
            lacking = "event that follows another within a time"
            condition = self._changed("audiences", key, "wait_for_window", condition, query.waiting, lacking)
        if events_of == "account":
            condition = self._changed("audiences", key, "events_of", condition, query.attributed, "event()")
        told = (shape.name, shape.description, shape.include_anonymous, deliveries, at)
        return Audience(key, condition, *told, shape.level, events_of)

    def _sql(self, key: str, shape: shapes.TraitShape, written: shapes.SqlShape) -> Sql:
        others = ("query", "for_each", "max", "expire", "events_of")
        for name in (each for each in others if each in self.documents["traits"].data[key]):
            self._problem("traits", (key, name), f"'{key}' comes from `sql`; leave `{name}` out")
        return Sql(
            key=key,
            connection=written.connection,
            statement=written.query,
            schedule=statements.schedule(self.documents["traits"], key, written),
            timeout=shapes.length(written.timeout),
            most_rows=written.rows,
            description=shape.description,
            deliveries=self._deliveries("traits", key, shape),
            at=self.documents["traits"].place((key,)),
            level=shape.level,
        )

    # --- pieces ------------------------------------------------------------------------------

    def _deliveries(self, name: str, key: str, shape: shapes.TraitShape | shapes.AudienceShape) -> tuple[Delivery, ...]:
        return destinations.deliveries(self.documents, name, key, shape.destinations, shape.level)

    def _events_of(self, name: str, key: str, shape: shapes.TraitShape | shapes.AudienceShape) -> EventsOf:
        """Whose events count for an account (O-15)."""
        if shape.events_of and shape.level == "user":
            self._problem(name, (key, "events_of"), f"'{key}' is about people; `events_of` belongs to `level: account`")
        return shape.events_of or "users"

    def _changed(self, name: str, key: str, option: str, node: Q, change: Callable[[Q], Q], lacking: str) -> Q:
        """The query as an option rewrites it, which has to make a difference."""
        found = change(node)
        if found == node:
            self._problem(name, (key, option), f"'{key}' has no {lacking}; leave `{option}` out")
        return found

    def _query(self, name: str, key: str, written_as: str, text: str, parse: Callable[[str], Q]) -> Q | None:
        try:
            node = parse(text)
        except query.QueryError as cause:
            self._query_problem(name, (key, written_as), cause)
            return None
        if reason := query.not_computed(node):
            self._query_problem(name, (key, written_as), query.QueryError(reason, 1, 1))
            return None
        return node

    def _query_problem(self, name: str, keys: Keys, cause: query.QueryError) -> None:
        key = keys[0]
        start = self.documents[name].place((*keys, "text"))
        place = f"{start.file}:{start.line + cause.line - 1}"
        self.documents[name].problems.append(f"{place}: '{key}': column {cause.column}: {cause}")

    def _problem(self, name: str, keys: Any, problem: str) -> None:
        self.documents[name].report(keys, problem)
