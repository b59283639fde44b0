"""`destinations.yaml` as destinations, and who may deliver what to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from populace import destinations as adapters
from populace.definitions import BUILT_IN, GROUP_ID, Bounds, Delivery, Destination, Identity, Known, Level, Strategy
from populace.destinations.protocol import GROUP, LIST, PROPERTY, About
from populace.loading import lists, shapes
from populace.loading.checks import meant
from populace.loading.documents import Document, Keys
from populace.loading.variables import resolve_text

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
MOST_WITH_ALL = 3  # types of which every value is sent, D-43

COMMON = ("brake", "enabled", "identifiers", "kind", "limits", "lists", "reassert_every")  # keys of every destination

HOW = "write {user_id: all, email: last} for people under each of them, or [user_id, email] for the first they have"


# --- who delivers to what --------------------------------------------------------------------------------


def deliveries(
    documents: Mapping[str, Document], name: str, key: str, listed: list, level: Level = "user"
) -> tuple[Delivery, ...]:
    """Where a trait or audience of the document `name` goes; unknown destinations and forms are noted there."""
    known = documents["destinations"].data
    found = []
    for number, each in enumerate(listed):
        destination, form = next(iter(each.items())) if isinstance(each, dict) else (each, None)
        place = (key, "destinations", number)
        if destination not in known:
            documents[name].report(place, f"'{key}': no destination '{destination}'{meant(destination, known)}")
        elif form and form not in (forms := _forms(known[destination]) or (form,)):
            documents[name].report(place, f"'{destination}' has no form '{form}'; it takes {', '.join(forms)}")
        elif form == GROUP and level == "user":
            problem = f"'{key}' is about people, and `{GROUP}` tells of accounts; write another form of '{destination}'"
            documents[name].report(place, problem)
        elif name == "traits" and (form or next(iter(_forms(known[destination])), "")) == LIST:
            documents[name].report(place, f"'{key}': {_no_list(destination, _forms(known[destination]))}")
        elif key in (about := _about(known[destination])).reserved and (form or about.forms[0]) == PROPERTY:
            documents[name].report(place, f"'{key}': to {about.title} this name says who somebody is; choose another")
        found.append(Delivery(destination, form))
    return tuple(found)


def _no_list(destination: str, forms: Sequence[str]) -> str:
    """Why a trait goes to no list, and what else there is."""
    others = [f"{{{destination}: {each}}}" for each in forms if each != LIST]
    remedy = f"write {' or '.join(others)}" if others else f"deliver an audience there, or leave '{destination}' out"
    return f"a trait has no members, so '{destination}' has no list for it; {remedy}"


def _forms(entry: Any) -> tuple[str, ...]:
    """What a destination takes; nothing where its entry does not say what it is."""
    return _about(entry).forms


def _about(entry: Any) -> About:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    is_known = isinstance(kind, str) and kind in adapters.ADAPTERS
    return adapters.ADAPTERS[str(kind)].ABOUT if is_known else About(forms=())


# --- destinations ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Making:
    """Makes the destinations of one space; problems are noted in their document."""

    space: str
    documents: Mapping[str, Document]
    environ: Mapping[str, str]
    identity: Identity

    @property
    def document(self) -> Document:
        return self.documents["destinations"]

    def destination(self, key: str, shape: shapes.DestinationShape) -> Destination | None:
        """One entry; None where its adapter cannot do with it."""
        about = adapters.ADAPTERS[shape.kind].ABOUT if shape.kind in adapters.ADAPTERS else About(identifies=())
        settings = self._settings(key, shape, about)
        problems = adapters.problems(shape.kind, settings)
        for problem in problems:
            self.document.report((key,), f"'{key}': {problem}")
        listed = lists.ids(self.document, key, shape.lists, shape.kind, about) if not problems else ()
        identifiers = None if shape.identifiers is None else self._known(key, shape, about)
        # What is tried out in the development space stays there until someone says otherwise.
        enabled = self.space != "dev" if shape.enabled is None else self._truth(key, shape.enabled)
        if problems:
            return None
        return Destination(
            name=key,
            kind=shape.kind,
            settings=tuple(sorted(settings.items())),
            enabled=enabled,
            brake=int(shape.brake.rstrip("%")) / 100,
            at=self.document.place((key,)),
            identifiers=identifiers,
            bounds=_bounds(shape.limits),
            reassert_every=shapes.length(shape.reassert_every) if shape.reassert_every else None,
            lists=listed,
        )

    def _settings(self, key: str, shape: shapes.DestinationShape, about: About) -> dict[str, str]:
        """The settings as texts."""
        found = {}
        for name, value in (shape.model_extra or {}).items():
            is_known = name in about.names
            close = [] if is_known else get_close_matches(name, COMMON, n=1)
            if name in shapes.LATER:
                self.document.report((key, name), f"'{name}' is not available in this version; leave it out")
            elif close:
                self.document.report((key, name), f"unknown key '{name}'; did you mean '{close[0]}'?")
            elif isinstance(value, dict | list):
                self.document.report((key, name), f"'{key}.{name}': text was expected, in quotes if need be")
            elif value is not None:
                found[name] = str(value).lower() if isinstance(value, bool) else str(value)
            elif name not in about.required:  # else it is told as missing
                problem = f"'{key}.{name}' is empty; leave it out, or quote it if it begins with #"
                self.document.report((key, name), problem)
        return found

    def _truth(self, key: str, written: bool | str) -> bool:  # noqa: FBT001, as written in the file
        try:
            text = resolve_text(str(written), self.environ).lower()
        except KeyError as missing:
            text = f"environment variable {missing.args[0]} is not set"
        if text not in ("true", "false"):
            self.document.report((key, "enabled"), f"'enabled' is true or false, not '{text}'")
        return text == "true"

    # --- by whom people are known --------------------------------------------------------------

    def _known(self, key: str, shape: shapes.DestinationShape, about: About) -> Known:
        keys = (key, "identifiers")
        if about.grain == "audience":
            problem = f"{shape.kind} is told of audiences as a whole, not of people; leave `identifiers` out"
            self.document.report(keys, problem)
            return Known()
        types: dict[str, Strategy] = {}
        for place, id_type, strategy in self._listed(keys, shape.identifiers):
            if problem := self._problem(id_type, strategy, types, shape.kind, about.identifies):
                self.document.report(place, problem)
            else:
                types[id_type] = strategy
        return Known(tuple(types.items()), is_each=isinstance(shape.identifiers, dict))

    def _listed(self, keys: Keys, written: Any) -> Iterator[tuple[Keys, Any, Any]]:
        """Where each type stands, the type and its strategy; a bare name means the value added last."""
        if not isinstance(written, dict | list) or not written:
            self.document.report(keys, f"'{'.'.join(map(str, keys))}': {HOW}")
        elif isinstance(written, dict):
            yield from (((*keys, id_type), id_type, strategy) for id_type, strategy in written.items())
        else:
            for number, each in enumerate(written):
                place = (*keys, number)
                if isinstance(each, str):
                    yield place, each, "last"
                elif isinstance(each, dict) and len(each) == 1:
                    yield place, *next(iter(each.items()))
                else:
                    self.document.report(place, "write the name of an identifier, or {user_id: first}")

    def _problem(
        self, id_type: str, strategy: Any, others: Mapping[str, str], kind: str, taken: tuple[str, ...]
    ) -> str:
        """What is wrong with a type and which of its values are sent, after those that stand before it."""
        if id_type == GROUP_ID:
            return "'group_id' names accounts, not people; leave it out"
        if unknown := self._unknown(id_type):
            return unknown
        if taken and id_type not in taken:
            return f"{kind} does not know people by '{id_type}'; it takes {', '.join(taken)}"
        if strategy not in STRATEGIES:
            return f"'{id_type}: {strategy}': write first, last or all{_close(strategy)}"
        if id_type in others:
            return f"'{id_type}' stands twice"
        if strategy == "all" and list(others.values()).count("all") == MOST_WITH_ALL:
            return f"'{id_type}' is one too many: at most three types are sent with all their values; write last"
        return ""

    def _unknown(self, id_type: str) -> str:
        """Why nobody has an identifier of this type; empty where identity.yaml, as far as it can be read, has it."""
        document = self.documents["identity"]
        written = document.data.get("identifiers")
        types = {each.id_type for each in self.identity.identifiers}
        types |= set(written) if isinstance(written, dict) else set()
        is_unread = (document.problems and not document.data) or not isinstance(written, dict | None)
        if id_type in types or is_unread:
            return ""
        if id_type in BUILT_IN:
            return f"nobody has a '{id_type}' in this space; list it below `identifiers` in identity.yaml"
        return f"no identifier '{id_type}'{meant(id_type, types - {GROUP_ID})}"


def _close(strategy: Any) -> str:
    close = get_close_matches(str(strategy), STRATEGIES, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _bounds(shape: shapes.LimitsShape | None) -> Bounds:
    if shape is None:
        return Bounds()
    return Bounds(
        requests_per_second=shape.requests_per_second,
        records_per_request=shape.records_per_request,
        timeout=shapes.length(shape.timeout) if shape.timeout else None,
        patience=shapes.length(shape.patience) if shape.patience else None,
    )
