"""Destinations by kind: the one list a new adapter joins.

The loader reads from here which kinds and forms exist, which settings they need, and which
account they reach. Nothing here needs more than the standard library.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from populace.destinations import (
    amplitude,
    appcues,
    braze,
    customerio,
    facebook_audiences,
    fullstory,
    google_audiences,
    hubspot,
    iterable,
    mixpanel,
    object_storage,
    segment,
    slack,
    warehouse,
    webhook,
)
from populace.destinations.protocol import Adapter, HttpAdapter

HTTP: dict[str, HttpAdapter] = {
    "amplitude": amplitude,
    "appcues": appcues,
    "braze": braze,
    "customerio": customerio,
    "facebook_audiences": facebook_audiences,
    "fullstory": fullstory,
    "google_audiences": google_audiences,
    "hubspot": hubspot,
    "iterable": iterable,
    "mixpanel": mixpanel,
    "segment": segment,
    "slack": slack,
    "webhook": webhook,
}
TABLES = {"warehouse": warehouse}
FILES = {"object_storage": object_storage}
ADAPTERS: dict[str, Adapter] = {**HTTP, **TABLES, **FILES}


def problems(kind: str, settings: dict[str, str]) -> list[str]:
    """What is wrong with a destination as written: unknown kind, settings missing, unknown or wrong.

    Each problem is a sentence without file and line; `${NAME}` passes for any value.
    """
    if kind not in ADAPTERS:
        return [f"no kind {kind!r}; {_meant(kind.lower(), sorted(ADAPTERS))}"]
    adapter = ADAPTERS[kind]
    names = adapter.ABOUT.names
    missing = [name for name in adapter.ABOUT.required if not settings.get(name)]
    unknown = sorted(set(settings) - set(names))
    found = [f"{kind} needs {name!r}" for name in missing]
    found += [f"{kind} has no setting {name!r}; {_meant(name, names)}" for name in unknown]
    return found if missing else [*found, *adapter.problems(settings)]


def _meant(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.8)
    told = f"known are {', '.join(known)}"
    return f"did you mean '{close[0]}'? {told[0].upper()}{told[1:]}" if close else told
