"""The tools that the demo delivers to: vendors on loopback, how they are reached, and what they hold in the end."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from demo.vendors.amplitude import Amplitude
from demo.vendors.appcues import Appcues
from demo.vendors.fullstory import FullStory
from demo.vendors.iterable import Iterable as Iterable_
from demo.vendors.server import Vendor, serve
from demo.vendors.webhook import Receiver

Tools = Mapping[str, Vendor]  # by the name that each has in definitions/dev/destinations.yaml

TOOLS: dict[str, type[Vendor]] = {
    "amplitude": Amplitude,
    "appcues": Appcues,
    "fullstory": FullStory,
    "iterable": Iterable_,
    "webhook": Receiver,
}


@contextmanager
def serving() -> Iterator[Tools]:
    """Every tool on a port of its own, for as long as this lasts."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(serve(tool())) for name, tool in TOOLS.items()}


def environment(tools: Tools) -> dict[str, str]:
    """What definitions/dev/destinations.yaml asks for: that there are tools, and the settings of each."""
    found = {"DEMO_TOOLS": "true", "DEMO_WEBHOOK": "true"}
    for name, tool in tools.items():
        found |= {f"DEMO_{name}_{setting}".upper(): value for setting, value in tool.settings.items()}
    return found


def held(tool: Vendor, key: str) -> int:
    """How many people have true for an audience there."""
    return sum(value is True for value in tool.properties(key).values())


def listed(tool: Vendor, names: Iterable[str]) -> int:
    """How many people are on the list of an audience there, which is called by its key or its name."""
    return max(len(tool.members(each)) for each in names)
