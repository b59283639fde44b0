"""A lake over a small archive that a test changes, and what each replay of it touched."""

import json
from pathlib import Path

from populace.lake import ledger
from tests import driving
from tests.slicing import NOON, called, kept
from tests.tables import AS_OF


def copy(message_id, name, received_at=NOON, **more):
    """A call that says in a property which copy of its message it is."""
    return {"message_id": message_id, "received_at": received_at, "properties": json.dumps({"copy": name}), **more}


class Lake:
    """A space of which each test changes the archive, replays, and asks what that touched."""

    def __init__(self, folder, sources=("web",)):
        self.folder = folder
        self.space = driving.space_in(folder, sources=sources)

    def put(self, name, *calls, source="web"):
        driving.put(self.space, source, name, called(*calls))

    def remove(self, name, source="web"):
        (self.folder / f"archive/{source}/{name}.parquet").unlink()

    def replay(self):
        return driving.replay_all(self.space, AS_OF)

    def kept(self):
        """Which copy of each message counts, sorted."""
        return sorted(copy for _, _, copy in kept(self.space, self.summaries()))

    def summaries(self):
        return {name: ledger.summary(self.space.lake, name) for name in ledger.sources(self.space.lake)}

    def parts(self):
        """For each part the names of the objects that it was made of."""
        named = (ledger.parts(self.space.lake, source).values() for source in self.space.source_names)
        return sorted(
            sorted({each["path"].removesuffix(".parquet") for each in found["objects"]})
            for found in (
                ledger.entry(self.space.lake, each["source"], each["part"]) for parts in named for each in parts
            )
        )

    def touched(self):
        """The objects whose parts are written by a replay, or had been dropped in it and are no more."""
        before = self.written()
        self.replay()
        after = self.written()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        return {name for path, (_, names) in (before | after).items() if path in changed for name in names}

    def written(self):
        """When each object of each part was written, and what the part was made of."""
        found = {}
        for source in self.space.source_names:
            for part in ledger.entries(self.space.lake, source).values():
                names = {each["path"].removesuffix(".parquet") for each in part["objects"]}
                for output in part["outputs"]:
                    stat = Path(self.space.lake.url(output["path"])).stat()
                    found[output["path"]] = ((stat.st_mtime_ns, stat.st_ino), names)
        return found
