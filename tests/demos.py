"""The demo's archive, as `make demo` writes it, through the whole engine without Prefect."""

from datetime import datetime
from pathlib import Path

import polars as pl

from demo import events
from populace.space import open_space
from tests import driving

DEFINITIONS = Path(__file__).parents[1] / "definitions"


class Demo:
    """The space dev of the repository over an archive of so many events: replayed, and one run of it."""

    def __init__(self, folder: Path, as_of: datetime, count: int) -> None:
        places = {"POPULACE_ARCHIVE": (folder / "archive").as_uri(), "POPULACE_LAKE": (folder / "lake").as_uri()}
        self.space = open_space("dev", DEFINITIONS, places)
        self.counts = [self._put(folder, each) for each in events.objects(as_of, events=count)]
        self.summaries = driving.replay_all(self.space, as_of)
        self.run_id = driving.run(self.space, as_of)

    @staticmethod
    def _put(folder: Path, each: events.Object) -> dict:
        file = folder / "archive" / each.key
        file.parent.mkdir(parents=True, exist_ok=True)
        each.frame.write_parquet(file)
        return each.counts

    def table(self, name: str) -> pl.DataFrame:
        return driving.table(self.space, self.run_id, name)
