"""What is given while reducers are computed: events, the instant, and what is known of people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from populace.expressions import Row
from populace.nodes import Reducer
from populace.traits.planning import Reducers, refers, stream_of

Tables = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True, slots=True)
class Given:
    """See `reduce`. `people` is what trait() inside where() reads, None where nothing does."""

    events: Tables
    as_of: datetime
    people: pl.DataFrame | None = None
    computed: Mapping[str, Reducer] = field(default_factory=dict)

    def row(self, table: pl.LazyFrame) -> Row:
        """The rows of a table, to be read by conditions."""
        return Row(table.collect_schema(), self.computed)

    def beside(self, table: pl.LazyFrame, group: Reducers) -> pl.LazyFrame:
        """A table, with the traits of each event's person where some stream of the group reads them."""
        if self.people is None or not any(refers(stream_of(each)) for each in group.values()):
            return table
        known = self.people.lazy().rename({"profile": person(table)})
        return table.join(known, on=person(table), how="left")


def person(table: pl.LazyFrame) -> str:
    """The column that says whose event it is; what events are grouped by may be something else."""
    return "person" if "person" in table.collect_schema() else "profile"
