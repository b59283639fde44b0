"""One spelling for each person where a destination takes several for one: `normal` of its adapter.

Both sides of a difference are spelled so. Otherwise the exit of one spelling would remove the member who stays under
the other, and two people could be told two things of the one that they are over there. Spelling what is spelled so
already has to change nothing, for the ledger is read again and again.
"""

from collections.abc import Callable, Mapping

import polars as pl

from populace.sync.states import IDENTIFIER, KEY

Normal = Mapping[str, Callable[[str], str | None]]  # by type: text in, text out, None where it names nobody

AS_WRITTEN: Normal = {}


def spelled(rows: pl.DataFrame, normal: Normal) -> pl.DataFrame:
    """The rows with the identifiers that the destination knows, each distinct one spelled once; null for nobody's."""
    distinct = rows.select(IDENTIFIER).filter(pl.col("id_type").is_in(list(normal))).unique().rows()
    texts = [(id_type, value, normal[id_type](value) or None) for id_type, value in distinct]
    table = pl.DataFrame(texts, dict.fromkeys((*IDENTIFIER, "normal"), pl.String), orient="row")
    found = rows.join(table, on=IDENTIFIER, how="left", maintain_order="left")
    is_spelled = pl.col("id_type").is_in(list(normal))
    value = pl.when(is_spelled).then("normal").otherwise("id_value")
    return found.with_columns(id_value=value).drop("normal")


def kept(rows: pl.DataFrame, normal: Normal) -> pl.DataFrame:
    """Rows of the ledger, spelled. What names nobody was told all the same, and stays as it was."""
    if not normal or rows.is_empty():
        return rows
    return spelled(rows, normal).with_columns(pl.coalesce("id_value", rows.get_column("id_value")))


def held(rows: pl.DataFrame, normal: Normal) -> pl.DataFrame:
    """What is acknowledged, spelled. Where two spellings were told two values, nobody knows which one is there."""
    found = kept(rows, normal)
    is_repeated = pl.struct(IDENTIFIER).is_duplicated()
    if not normal or not found.select(is_repeated.any()).item():
        return found
    several = found.filter(is_repeated).group_by(IDENTIFIER, maintain_order=True)
    value = pl.when(pl.col("value").n_unique() == 1).then(pl.col("value").first())
    at = pl.when(pl.col("at").null_count() == 0).then(pl.col("at").min())
    together = several.agg(profile_id=pl.col("profile_id").min(), value=value, at=at)
    return pl.concat([found.filter(~is_repeated), together.select(found.columns)])


def queued(rows: pl.DataFrame, normal: Normal) -> pl.DataFrame:
    """What waits, or is parked, spelled: one record for each identifier, the last."""
    if not normal:
        return rows
    return kept(rows, normal).unique(KEY, keep="last", maintain_order=True)


def once(rows: pl.DataFrame) -> pl.DataFrame:
    """Of the people who go by one identifier, the one whose profile id sorts first."""
    return rows.filter(pl.col("profile_id") == pl.col("profile_id").min().over(IDENTIFIER))


def is_shared(people: pl.DataFrame) -> bool:
    """Whether some go by an identifier that others go by, too."""
    return people.select(pl.struct(IDENTIFIER).is_duplicated().any()).item()
