"""What destinations call the lists that audiences are kept in: looked up or made before anybody joins one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from populace.destinations.protocol import LIST, Answer, Record, Verdict
from tasks.sending import Courier

Finder = Callable[[str], "str | Verdict"]


@dataclass(slots=True)
class Lists:
    """The lists of one destination, by the key of their audience.

    `keep` writes a name down as soon as it is known, so that no list is made twice.
    """

    known: dict[str, str] = field(default_factory=dict)
    keep: Callable[[str, str], None] = lambda key, name: None

    def missing(self, records: Sequence[Record]) -> list[str]:
        """The keys of audiences in lists of which nobody knows the name."""
        return sorted({each["key"] for each in records if each["form"] == LIST} - self.known.keys())

    def found(self, key: str, name: str) -> None:
        self.known[key] = name
        self.keep(key, name)


def look_up(lists: Lists, keys: Sequence[str], courier: Courier[str]) -> Mapping[str, Verdict]:
    """Look the lists of these audiences up, one after the other; what became of those that were not found."""
    verdicts = {key: courier.settle([key])[0] for key in keys}
    return {key: verdict for key, verdict in verdicts.items() if key not in lists.known}


def answered(lists: Lists, key: str, found: str | Verdict) -> Answer:
    """What a conversation about a list came to."""
    if isinstance(found, Verdict):
        return found
    lists.found(key, found)
    return Verdict("delivered")
