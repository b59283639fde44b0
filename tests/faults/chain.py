"""The chain of `recompute` without Prefect, and a way to kill the process that runs it at a chosen moment.

Run as a script with DEFINITIONS and a moment, such as `after runs/*/traits.parquet` or `137`, it is that process.
"""

import fnmatch
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from populace.errors import LakeError
from populace.lake import runs
from populace.lake.objects import LocalStore
from populace.space import OpenSpace, open_space, recompute, statements
from tasks.delivery import Ways, deliver
from tests import driving
from tests.companies import AS_OF


def follow(space: OpenSpace, as_of: datetime = AS_OF, environ: dict[str, str] | None = None) -> list[dict]:
    """Replay, compute, publish, deliver: the steps of `flows.recompute` and its tasks; the accounts of the delivery."""
    driving.replay_all(space, as_of)
    run = recompute.plan(space, as_of)
    for stage in (
        recompute.resolve_identities,
        recompute.compute_traits,
        statements.compute,
        recompute.evaluate_audiences,
    ):
        if not runs.manifest(space.lake, run.run_id):
            stage(space, run)
    if not runs.manifest(space.lake, run.run_id):
        recompute.complete(space, run)
    recompute.publish(space, run)
    found = os.environ if environ is None else environ
    return [deliver(space, each.name, Ways(found)) for each in space.definition.destinations]


class Mortal(LocalStore):
    """A local lake whose process dies at one moment: before a write, in it, or after it.

    A moment is `before`, `amid` or `after` with the path as a pattern, the first that matches, or a number: every
    write and removal has two or three of them.
    """

    def __init__(self, folder: str, moment: str) -> None:
        super().__init__(folder, LakeError)
        self.moment = moment
        self.passed = 0

    def delete(self, path: str) -> None:
        self._pass("before", path)
        super().delete(path)
        self._pass("after", path)

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[Path]:
        self._pass("before", path)
        with super()._draft(path, data) as draft:
            self._pass("amid", path, draft)
            yield draft
        self._pass("after", path)

    def _pass(self, when: str, path: str, draft: Path | None = None) -> None:
        self.passed += 1
        if self.moment == str(self.passed) or fnmatch.fnmatch(f"{when} {path}", self.moment):
            if draft:
                os.truncate(draft, draft.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)


def main(definitions: str, moment: str) -> None:
    """Follow the chain to that moment; past it, print how many moments there were."""
    space = open_space("dev", definitions, os.environ)
    lake = Mortal(space.lake.url(""), moment)
    follow(replace(space, lake=lake))
    print(lake.passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
