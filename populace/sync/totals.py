"""What is told to tools that are told numbers, and not people: the size of each audience and trait of a run."""

import json
from dataclasses import dataclass

import polars as pl

from populace.definitions import Level
from populace.sync.desired import NOTHING, Wanted
from populace.sync.states import WANTED, Computation

ID_TYPE = "destination"  # there is nobody to identify: the destination stands for itself


@dataclass(frozen=True, slots=True)
class Totals:
    """What a destination should know of a run, one row a computation.

    A value is a JSON object: {as_of, members, entered, left} of an audience, {as_of, profiles} of a trait; of
    accounts the size is called `accounts`. Where nobody entered or left since the run before, and the size is what was
    told last, what was told last still holds.

    Parameters
    ----------
    destination, as_of
        The destination's name, and the instant of the run.
    traits, memberships, changes
        Tables of the run.
    """

    destination: str
    as_of: str
    traits: pl.LazyFrame
    memberships: pl.LazyFrame
    changes: pl.LazyFrame

    def of(self, computation: Computation, held: pl.DataFrame, level: Level = "user") -> Wanted:
        """The one row of a computation; none where there is nothing to tell yet."""
        is_audience = computation.kind == "audience"
        size = "accounts" if level == "account" else "members" if is_audience else "profiles"
        found = self._audience(computation.key, size) if is_audience else self._trait(computation.key, size)
        # An audience of nobody may not have been computed yet; one that was told of has become empty.
        if found is None or (is_audience and held.is_empty() and not any(found.values())):
            return NOTHING
        told = held.get_column("value").drop_nulls().to_list()
        value = told[0] if told and _is_old(found, json.loads(told[0]), size) else self._text(found)
        row = {"profile_id": "", "id_type": ID_TYPE, "id_value": self.destination, "value": value}
        return Wanted(pl.DataFrame([row], schema=WANTED))

    def _audience(self, key: str, size: str) -> dict[str, int]:
        of_it = pl.col("audience") == key
        changed = self.changes.filter(of_it).group_by("change").len().collect()
        counts = dict(changed.iter_rows())
        members = self.memberships.filter(of_it).select(pl.len()).collect().item()
        return {"entered": counts.get("entered", 0), "left": counts.get("exited", 0), size: members}

    def _trait(self, key: str, size: str) -> dict[str, int] | None:
        if key not in self.traits.collect_schema():
            return None
        return {size: self.traits.select(pl.col(key).count()).collect().item()}

    def _text(self, found: dict[str, int]) -> str:
        return json.dumps({"as_of": self.as_of, **found}, sort_keys=True, separators=(",", ":"))


def _is_old(found: dict[str, int], told: dict[str, int], size: str) -> bool:
    """Whether there is nothing new to tell."""
    moved = found.get("entered", 0) + found.get("left", 0)
    return not moved and found[size] == told.get(size)
