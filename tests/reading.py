"""What an adapter reads back from a vendor, over a real wire but without the pace and the patience of a sender."""

from collections.abc import Mapping, Sequence
from typing import Any

from populace.destinations.protocol import ReadableAdapter, Response, Verdict
from tasks.wire import Wire
from tests.sent import ORIGIN


def held(
    adapter: ReadableAdapter,
    settings: Mapping[str, str],
    key: str,
    people: Sequence[tuple[str, str]],
    form: str = "property",
) -> list[tuple[str, str, Any]] | Verdict:
    """What is there of a key; everything that is asked for it must be a question."""
    reading, wire = adapter.held(key, form, people, ORIGIN, settings), Wire(1.0)
    answer: Response | None = None
    try:
        while True:
            request = reading.send(answer)  # type: ignore[arg-type]
            assert request.is_question
            found = wire.ask(request)
            assert isinstance(found, Response), found
            answer = found
    except StopIteration as end:
        return end.value
    finally:
        wire.close()


def users(names: Sequence[str]) -> list[tuple[str, str]]:
    return [("user_id", each) for each in names]
