"""Which copy of a message counts, when several parts hold one.

The copy that was received first does, then by source, object and row (E-35). Parts are read oldest day first and
each asks the index who else holds its messages, so almost always the copy that is there already wins. Where
a later part brings an earlier copy, the part that kept its own is read once more at the end.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from populace.events import rows
from populace.lake import ledger, messages
from populace.lake.messages import Messages
from populace.lake.objects import Store, scan
from populace.space.schemas import INSTANT, Columns, empty

PREFERRED = ("received_at", "source", "object", "row")
COPIES: Columns = {
    "message_id": pl.String,
    "received_at": INSTANT,
    "object": pl.String,
    "row": pl.UInt32,
    "kept": pl.Boolean,
    "source": pl.String,
    "part": pl.String,
}

Part = str
"""A part of any source: `<source>/<part>`, for sources share messages."""


def name(source: str, part: str) -> Part:
    """How a part is called among those of all sources."""
    return f"{source}/{part}"


def path(part: Part) -> str:
    """Where a part's copies lie."""
    return f"copies/{part.replace('/', '-', 1)}.parquet"


def known(store: Store, sources: Iterable[str]) -> dict[Part, str]:
    """Every part of these sources that has copies, with their path."""
    listed = ((source, part, found) for source in sources for part, found in ledger.parts(store, source).items())
    return {
        name(source, part): path(name(source, part))
        for source, part, found in listed
        if any(each["kind"] == "copies" for each in found["outputs"])
    }


@dataclass(slots=True)
class Claims:
    """Who holds which message while parts are being made."""

    store: Store
    index: Messages
    under_way: dict[Part, pl.DataFrame] = field(default_factory=dict)
    beaten: set[Part] = field(default_factory=set)

    def claim(self, part: Part, source: str, copies: pl.DataFrame) -> pl.Series:
        """Say which messages a part holds good copies of; returns for each whether it counts.

        Parameters
        ----------
        copies
            (message_id, received_at, object, row), one row a message.
        """
        self.index.forget(part)
        keys = messages.hashes(copies.get_column("message_id"))
        held = self.index.find(keys)
        ids = copies.get_column("message_id")
        rivals = pl.concat([empty(COPIES), *(self._of(other, ids.gather(at)) for other, at in sorted(held.items()))])
        kept = prevails(copies, source, rivals)
        mine = copies.with_columns(kept=kept, source=pl.lit(source), part=pl.lit(part)).select(COPIES.keys())
        won = mine.filter("kept").select("message_id")
        self.beaten |= set(rivals.filter("kept").join(won, on="message_id", how="semi").get_column("part"))
        self.index.add(part, keys)
        self.under_way[part] = mine
        return kept

    def settled(self, part: Part) -> None:
        """A part's copies are in the lake."""
        self.under_way.pop(part, None)

    def _of(self, part: Part, ids: pl.Series) -> pl.DataFrame:
        if part in self.under_way:
            return self.under_way[part].filter(pl.col("message_id").is_in(ids.implode()))
        return read(self.store, part, ids)


def read(store: Store, part: Part, ids: pl.Series | None = None) -> pl.DataFrame:
    """`COPIES` of one part, all of them or those of some messages."""
    wanted = scan(store, path(part))
    if ids is not None:
        wanted = wanted.filter(pl.col("message_id").is_in(ids.implode()))
    source = part.partition("/")[0]
    return wanted.with_columns(source=pl.lit(source), part=pl.lit(part)).select(COPIES.keys()).collect()


def prevails(copies: pl.DataFrame, source: str, rivals: pl.DataFrame) -> pl.Series:
    """True where our copy of a message comes before all others."""
    if rivals.is_empty():
        return pl.repeat(value=True, n=copies.height, eager=True)
    met = copies.select("message_id").join(best(rivals), on="message_id", how="left", maintain_order="left")
    ours = copies.select(pl.struct("received_at", pl.lit(source).alias("source"), "object", "row")).to_series()
    theirs = met.select(pl.struct(PREFERRED)).to_series()
    return met.get_column("source").is_null() | rows.precedes(ours, theirs)


def best(copies: pl.DataFrame) -> pl.DataFrame:
    """One copy a message: the one that counts."""
    return copies.sort(PREFERRED).unique("message_id", keep="first", maintain_order=True)


def wrong(copies: pl.DataFrame) -> list[Part]:
    """Parts whose choice differs from what all these copies together say."""
    counts = best(copies).select("message_id", *PREFERRED, wins=pl.lit(value=True))
    judged = copies.join(counts, on=["message_id", *PREFERRED], how="left")
    return sorted(judged.filter(pl.col("kept") != pl.col("wins").fill_null(value=False)).get_column("part").unique())


def in_question(store: Store, index: Messages, parts: Collection[Part]) -> pl.DataFrame:
    """All copies of messages that several parts hold now, or that a part gave up to one that may be gone."""
    frames = [empty(COPIES)]
    shared = [keys for keys, _ in index.contested()]
    for part in sorted(parts):
        found = read(store, part)
        ids = found.get_column("message_id")
        is_shared = pl.Series([False] * found.height, dtype=pl.Boolean)
        for keys in shared:
            is_shared = is_shared | messages.matching(ids, keys)
        frames.append(found.filter(is_shared | ~pl.col("kept")))
    return pl.concat(frames)


def of_messages(store: Store, index: Messages, part: Part, ids: pl.Series) -> pl.DataFrame:
    """The copies of some messages that other parts than this one hold."""
    held: Mapping = index.find(messages.hashes(ids))
    frames = [read(store, other, ids.gather(at)) for other, at in sorted(held.items()) if other != part]
    return pl.concat([empty(COPIES), *frames])
