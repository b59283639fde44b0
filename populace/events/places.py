"""Where in a call each identifier type is read (2.2, I-3)."""

from dataclasses import dataclass

from populace.definitions import GROUP_ID, Identifier, Identity
from populace.events.jsontext import Path
from populace.spelling import camel, snake

COLUMNS = {"user_id": "user_id", "anonymous_id": "anonymous_id"}  # types that have a column of their own

Place = tuple[str, Path]
"""Where a value may stand: the column (traits, context, properties, integrations) and the keys below it."""

EXTERNAL_IDS: Place = ("context", ("externalIds",))
DEVICE_TYPE: Place = ("context", ("device", "type"))
IS_TRACKED: Place = ("context", ("device", "adTrackingEnabled"))


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one type is read, in the order in which places are preferred, and what must stand elsewhere for it."""

    places: tuple[Place, ...] = ()
    conditions: tuple[tuple[Place, str], ...] = ()


def _of_device(system: str) -> dict[str, Reading]:
    """The three types of a telephone; its advertising id counts where tracking is allowed (2.2)."""
    is_system = (DEVICE_TYPE, system)
    return {
        f"{system}.id": Reading((("context", ("device", "id")),), (is_system,)),
        f"{system}.idfa": Reading((("context", ("device", "advertisingId")),), (is_system, (IS_TRACKED, "true"))),
        f"{system}.push_token": Reading((("context", ("device", "token")),), (is_system,)),
    }


ANALYTICS = ("Google Analytics", "clientId")
BUILT_IN = {
    **dict.fromkeys((*COLUMNS, GROUP_ID), Reading()),
    **_of_device("android"),
    **_of_device("ios"),
    "ga_client_id": Reading((("context", ("integrations", *ANALYTICS)), ("integrations", ANALYTICS))),
    "braze_id": Reading((("context", ("Braze", "braze_id")),)),
    "cross_domain_id": Reading((("context", ("traits", "crossDomainId")),)),
}


def reading(rule: Identifier) -> Reading:
    """Where an identifier is read: `email` and custom ones in traits, those of the context, and properties."""
    if rule.id_type in BUILT_IN:
        return BUILT_IN[rule.id_type]
    name = rule.read_from or rule.id_type
    spellings = sorted({snake(name), camel(name), name})
    below: dict[str, Path] = {"traits": (), "context": ("traits",), "properties": ()}
    return Reading(tuple((column, (*keys, each)) for column, keys in below.items() for each in spellings))


def all_places(rules: Identity) -> list[Place]:
    """Every place that some identifier needs, each once; `context.externalIds` among them (E-11)."""
    readings = [reading(rule) for rule in rules.identifiers]
    values = [place for each in readings for place in each.places]
    conditions = [place for each in readings for place, _ in each.conditions]
    return list(dict.fromkeys([*values, *conditions, EXTERNAL_IDS]))
