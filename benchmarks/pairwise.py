"""How good identity resolution is: pairwise precision and recall of a run against a known truth.

    python -m benchmarks.pairwise LAKE_URI TRUTH [RUN_ID]

TRUTH is a Parquet file with one row per identifier: (identifier_type, identifier_value, person). Two identifiers of
one person are a true pair; two identifiers of one profile are a claimed pair. Precision is the share of claimed pairs
that are true, recall the share of true pairs that are claimed. No pair is ever written down: n identifiers make
n * (n - 1) / 2 pairs.
"""

import json
import sys
from dataclasses import asdict, dataclass

import polars as pl

from populace.definitions import Storage
from populace.errors import PopulaceError
from populace.lake import runs
from populace.lake.objects import open_store

IDENTIFIER = ["id_type", "id_value"]


@dataclass(frozen=True, slots=True)
class Score:
    """What a run claims and what is true, in pairs of identifiers.

    Only identifiers in the truth count; `missing` are those of them that no profile holds.
    """

    identifiers: int
    missing: int
    claimed: int
    true: int
    right: int

    @property
    def precision(self) -> float:
        """The share of claimed pairs that are true; 1 where nothing is claimed."""
        return self.right / self.claimed if self.claimed else 1.0

    @property
    def recall(self) -> float:
        """The share of true pairs that are claimed; 1 where there is none to find."""
        return self.right / self.true if self.true else 1.0


def score(external_ids: pl.DataFrame, truth: pl.DataFrame) -> Score:
    """Compare the profiles of a run with the persons of a truth.

    Parameters
    ----------
    external_ids
        One row per identifier of a profile: (profile_id, id_type, id_value). Those that the truth does not know are
        left out.
    truth
        One row per identifier: (identifier_type, identifier_value, person). An identifier that stands in no profile
        is in no claimed pair, so what it belongs to counts as not found.
    """
    known = truth.select(id_type="identifier_type", id_value="identifier_value", person="person")
    placed = known.join(external_ids.select(*IDENTIFIER, "profile_id"), on=IDENTIFIER, how="left")
    found = placed.drop_nulls("profile_id")
    return Score(
        identifiers=known.height,
        missing=known.height - found.height,
        claimed=pairs(found, "profile_id"),
        true=pairs(placed, "person"),
        right=pairs(found, "profile_id", "person"),
    )


def pairs(identifiers: pl.DataFrame, *together: str) -> int:
    """How many pairs of identifiers agree in these columns."""
    size = pl.col("len").cast(pl.Int64)
    return identifiers.group_by(together).len().select((size * (size - 1) // 2).sum()).item()


def main(lake: str, truth: str, run_id: str | None = None) -> None:
    """Print one JSON object for all identifiers together, and one for each type taken alone."""
    store = open_store(lake, Storage())
    run_id = run_id or runs.current(store)
    if run_id is None:
        message = f"{lake}: no published run"
        raise PopulaceError(message)
    external_ids, known = runs.table(store, run_id, "external_ids").collect(), pl.read_parquet(truth)
    by_type = sorted(known.partition_by("identifier_type", as_dict=True).items())
    parts = {"all": known} | {name: part for (name,), part in by_type}
    for name, part in parts.items():
        found = score(external_ids, part)
        rates = {"precision": round(found.precision, 4), "recall": round(found.recall, 4)}
        sys.stdout.write(json.dumps({"run_id": run_id, "id_type": name} | asdict(found) | rates) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python -m benchmarks.pairwise LAKE_URI TRUTH [RUN_ID]")
    try:
        main(*sys.argv[1:])
    except PopulaceError as error:
        sys.exit(f"error: {error}")
