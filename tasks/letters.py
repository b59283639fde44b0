"""What a destination refuses for good, read from its ledger and, once the cause is mended, taken out of it."""

import polars as pl

from populace.errors import UsageError
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due, letters
from populace.space.letters import Asked
from tasks.delivery import folded, now
from tasks.turns import turn


def listed(space: OpenSpace, destination: str, asked: Asked) -> pl.DataFrame:
    """The letters of a destination that are asked for; reads only.

    Raises
    ------
    UsageError
        If there is no such destination, or no letter of those asked for.
    """
    ledger = Ledger(space.lake, space.destination(destination).name)
    return letters.chosen(space, due.opened(ledger, now()).letters(), asked)


def take_out(space: OpenSpace, destination: str, asked: Asked) -> int:
    """Take letters out of the ledger, so that their records are due with the next difference; how many there were.

    What is desired is what the current run says, so a record that changed meanwhile goes out as it is now, and one that
    is desired no longer does not.

    Raises
    ------
    UsageError
        If there is no such destination, or no letter of those asked for.
    Transient
        If a sync is sending to it.
    """
    ledger = Ledger(space.lake, space.destination(destination).name)
    with turn(ledger):
        stored = folded(due.opened(ledger, now())).letters()
        taken = letters.chosen(space, stored, asked)
        if taken.is_empty():
            message = f"destination '{destination}' has no letters, so there is nothing to send again"
            raise UsageError(message)
        ledger.keep_letters(letters.without(stored, taken))
    return taken.height
