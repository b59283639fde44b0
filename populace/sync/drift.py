"""How what a destination holds differs from what it has acknowledged, and the ledger that makes it equal again."""

from dataclasses import dataclass

import polars as pl

from populace.sync.states import HELD, IDENTIFIER


@dataclass(frozen=True, slots=True)
class Drift:
    """What a destination holds otherwise than the ledger says, of one computation.

    Parameters
    ----------
    missing
        Acknowledged, and not there.
    different
        There with another value.
    extra
        There, and never acknowledged.
    """

    missing: pl.DataFrame
    different: pl.DataFrame
    extra: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each."""
        return {name: getattr(self, name).height for name in ("missing", "different", "extra")}

    @property
    def identifiers(self) -> pl.DataFrame:
        """(id_type, id_value) of everything that differs."""
        return pl.concat([each.select(IDENTIFIER) for each in (self.missing, self.different, self.extra)])


_NOBODY = pl.DataFrame(schema=dict.fromkeys((*IDENTIFIER, "value"), pl.String))
NO_DRIFT = Drift(_NOBODY, _NOBODY, _NOBODY)


def drift(held: pl.DataFrame, found: pl.DataFrame) -> Drift:
    """Compare the ledger of a computation with what was read back from the destination.

    Parameters
    ----------
    held
        The ledger; what is in doubt there is nobody's drift.
    found
        (id_type, id_value, value), members and values that are there.
    """
    known = held.drop_nulls("value")
    there = found.select(*IDENTIFIER, found="value")
    both = known.join(there, on=IDENTIFIER)
    return Drift(
        missing=known.join(there, on=IDENTIFIER, how="anti"),
        different=both.filter(pl.col("found") != pl.col("value")),
        extra=there.join(held, on=IDENTIFIER, how="anti"),
    )


def mended(held: pl.DataFrame, drifted: Drift) -> pl.DataFrame:
    """The ledger that tells the truth about a destination: what is missing is not held, what differs is in doubt."""
    gone = held.join(drifted.missing, on=IDENTIFIER, how="anti", maintain_order="left")
    doubtful = gone.join(drifted.different, on=IDENTIFIER, how="semi")
    kept = gone.join(drifted.different, on=IDENTIFIER, how="anti", maintain_order="left")
    unknown = pl.concat([doubtful.select(IDENTIFIER), drifted.extra.select(IDENTIFIER)])
    nothing = {name: pl.lit(None, dtype) for name, dtype in HELD.items() if name not in IDENTIFIER}
    return pl.concat([kept, unknown.with_columns(**nothing).select(list(HELD))])
