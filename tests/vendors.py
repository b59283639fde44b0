"""The vendors on loopback by the kind of destination that is delivered to them, and spaces that deliver there."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.vendors.amplitude import Amplitude
from demo.vendors.appcues import Appcues
from demo.vendors.braze import Braze
from demo.vendors.customerio import CustomerIo
from demo.vendors.facebook_audiences import Facebook
from demo.vendors.fullstory import FullStory
from demo.vendors.google_audiences import Google
from demo.vendors.hubspot import HubSpot
from demo.vendors.iterable import Iterable
from demo.vendors.mixpanel import Mixpanel
from demo.vendors.segment import Segment
from demo.vendors.server import Vendor
from demo.vendors.webhook import Receiver
from populace.definitions import GROUP_ID, Delivery, Destination
from populace.destinations.protocol import GROUP, LIST, HttpAdapter, ListAdapter
from populace.space import OpenSpace
from tests import deliveries
from tests.contract.conversing import ADAPTERS
from tests.rolodex import Rolodex

VENDORS: dict[str, Callable[[], Vendor]] = {
    "rolodex": Rolodex,
    "amplitude": Amplitude,
    "appcues": Appcues,
    "braze": Braze,
    "customerio": CustomerIo,
    "facebook_audiences": Facebook,
    "fullstory": FullStory,
    "google_audiences": Google,
    "hubspot": HubSpot,
    "iterable": Iterable,
    "mixpanel": Mixpanel,
    "segment": Segment,
    "webhook": Receiver,
}

SPELLED = {"email": "p{}@example.org", "phone": "+1800555{:04}"}  # an identifier of a type, by a number


def adapter(kind: str) -> HttpAdapter:
    return ADAPTERS[kind]


def people(kind: str, count: int) -> list[str]:
    """Plain identifiers of the type that a vendor knows people by first."""
    return [SPELLED.get(id_type(kind), "p{}").format(number) for number in range(count)]


def id_type(kind: str) -> str:
    return (adapter(kind).ABOUT.identifies or ("user_id",))[0]


def delivering(folder: Path, kind: str, vendor: Vendor, form: str, **more: Any) -> OpenSpace:
    """A space that delivers the audience `buyers`, and the trait `plan` where there is a form for it, to a vendor.

    In the form `group` both are about accounts.
    """
    changes = {"brake": 1.0, "lists": given(kind, vendor, form), **more}
    node = replace(Destination("crm", kind, tuple(vendor.settings.items())), **changes)
    space = deliveries.open_space(folder, node, *(["buyers"] if form in ("list", "event") else ["plan", "buyers"]))
    changed = {"deliveries": (Delivery("crm", form),), "level": "account" if form == GROUP else "user"}
    told = {
        name: tuple(replace(each, **changed) for each in getattr(space.definition, name))
        for name in ("traits", "audiences")
    }
    return replace(space, definition=replace(space.definition, **told))


def given(kind: str, vendor: Vendor, form: str) -> tuple[tuple[str, str], ...]:
    """The list that people made over there by hand, where no API makes one."""
    is_made = form != LIST or isinstance(adapter(kind), ListAdapter)
    return () if is_made else (("buyers", vendor.make("buyers")),)


def publish(space: OpenSpace, kind: str, number: int, plans: dict[str, Any], members: Collection[str]) -> None:
    """A run in which these people, or accounts, have these plans, and are buyers; a profile is called as it is."""
    table = {"profile_id": list(plans), "plan": list(plans.values())}
    by = GROUP_ID if space.definition.audiences[0].level == "account" else id_type(kind)
    named = {each: (by, each) for each in {*plans, *members}}
    deliveries.publish(space, number, table, {"buyers": sorted(members)}, named)
