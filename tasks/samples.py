"""A few exchanges of a delivery, as they may be shown to anybody: for the report."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from populace.destinations.protocol import Record, Request, Response, Verdict
from tasks.redacting import Redaction

OF_A_KIND = 3
IN_ALL = 10


@dataclass(slots=True)
class Samples:
    """Those taken so far; several lanes may add."""

    secrets: Mapping[str, str]
    words: frozenset[str]
    taken: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(
        self, verdicts: Sequence[Verdict], request: Request, response: Response | None, records: Sequence[Record]
    ) -> None:
        """Keep one for each outcome of a conversation that is not known well enough."""
        status = response.status if response else None
        wanted = {each.outcome: each for each in verdicts if self._is_wanted(each.outcome, status)}
        if not wanted:
            return
        redaction = Redaction(records, self.secrets, self.words)
        shown = {
            "endpoint": redaction.endpoint(request),
            "request": redaction.body(request.body),
            "status": status,
            "reply": redaction.body(response.body) if response else "",
        }
        with self.lock:
            for outcome, verdict in wanted.items():
                if self._is_wanted(outcome, status):
                    self.counts[outcome, status] += 1
                    self.taken.append({"outcome": outcome, "reason": verdict.reason, **shown})

    def _is_wanted(self, outcome: str, status: int | None) -> bool:
        return self.counts[outcome, status] < OF_A_KIND and len(self.taken) < IN_ALL
