"""What definition files may look like: the authoring side, from which the frozen nodes are made."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, StringConstraints


def _delivery(written: Any) -> Any:
    pairs = written.items() if isinstance(written, dict) else [(written, written)]
    if len(pairs) == 1 and all(isinstance(each, str) and each for pair in pairs for each in pair):
        return written
    message = "write the name of a destination, or {destination: form}"
    raise ValueError(message)


def _one(written: dict) -> dict:
    if len(written) == 1:
        return written
    message = "write one identifier as {type: value}"
    raise ValueError(message)


def _two(written: list) -> list:
    if len(written) == 2:
        return written
    message = "a pair is two identifiers, [{user_id: u1}, {user_id: u2}]"
    raise ValueError(message)


def _listed(written: Any) -> Any:
    return [] if written is None else [written] if isinstance(written, str) else written


def length(written: str) -> timedelta:
    """How long `36 hours` is; of a text that the patterns below take."""
    amount, unit = written.split()
    return timedelta(**{f"{unit.removesuffix('s')}s": int(amount)})


def _within(most: str) -> AfterValidator:
    """A length that is no longer than another."""

    def checked(written: str) -> str:
        if length(written) <= length(most):
            return written
        message = f"{written} is too long; write at most {most}"
        raise ValueError(message)

    return AfterValidator(checked)


NAME = r"^[a-z][a-z0-9_]{0,62}$"
KEY = r"^[a-z][a-z0-9_]{0,254}$"
DURATION = r"^[1-9][0-9]{0,4} (hours?|days?)$"
PAUSE = r"^[1-9][0-9]{0,4} (seconds?|minutes?|hours?)$"
IDENTIFIER = r"^[a-z][a-z0-9_.]{0,62}$"
SHARE = r"^([1-9]?[0-9]|100)%$"
LIMIT = r"^(none|[1-9][0-9]*( (ever|daily|weekly|monthly|annually))?)$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Key = Annotated[str, StringConstraints(pattern=KEY)]
Text = Annotated[str, StringConstraints(min_length=1)]
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
WRITTEN = BeforeValidator(lambda each: str(each) if type(each) is int else each)  # 5 is the text 5
NO_UNIT = BeforeValidator(lambda each: str(each) if type(each) in {int, float} else each)  # so that its example is told
Duration = Annotated[str, StringConstraints(pattern=DURATION), NO_UNIT]
Pause = Annotated[str, StringConstraints(pattern=PAUSE), NO_UNIT]
Limit = Annotated[str, StringConstraints(pattern=LIMIT), WRITTEN]
Value = Annotated[str, WRITTEN]
Share = Annotated[str, StringConstraints(pattern=SHARE), NO_UNIT]
Addresses = Annotated[list[str], BeforeValidator(_listed)]
Deliveries = list[Annotated[str | dict[str, str], PlainValidator(_delivery)]]

MOST_OF_A_FAMILY = 200  # traits, where `max` is not written

# What an example shows where a value does not match, by the type's pattern.
EXAMPLES = {
    NAME: "a lower-case name such as web_shop",
    KEY: "a lower-case key such as new_users_7_days",
    DURATION: "a length such as 60 days or 36 hours",
    PAUSE: "a length such as 30 seconds or 4 hours",
    IDENTIFIER: "a lower-case identifier such as user_id",
    SHARE: "a share such as 50%",
    LIMIT: "a limit such as 5 weekly, 1 ever, or none",
}


class Shape(BaseModel):
    """What every file and definition has in common: no key that is not known, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class StorageShape(Shape):
    """`storage:` of a space or a source."""

    endpoint_url: Text | None = None
    region: Text | None = None


class SpaceShape(Shape):
    """`space.yaml`; `connections` are the databases that the statements of SQL traits run on."""

    space: Name
    lake: Text
    storage: StorageShape = StorageShape()
    window: Duration = "30 days"
    include_anonymous: bool = False
    salt: int = 0
    notify: Addresses = []
    connections: dict[Name, Text] = {}


class SourceShape(Shape):
    """One entry of `sources.yaml`."""

    archive: Text
    layout: Literal["raw", "segment_lake", "segment_json", "rudderstack_json", "warehouse"] = "raw"
    storage: StorageShape | None = None
    since: date | None = None
    keep_context: list[Text] = []
    silent_after: Duration | None = None


class IdentifierShape(Shape):
    """One entry of `identifiers:`."""

    limit: Limit | None = None
    normalize: Literal["none", "trim", "trim_lower"] | None = None
    read_from: Text | None = Field(default=None, alias="from")
    blocked: list[Text] = []


class ForbiddenShape(Shape):
    """One entry of `forbidden:`."""

    pair: Annotated[list[Annotated[dict[str, Value], AfterValidator(_one)]], AfterValidator(_two)]
    because: str = ""


class IdentityShape(Shape):
    """`identity.yaml`."""

    identifiers: dict[Identifier, IdentifierShape | None] = {}
    blocked: list[Text] | None = None
    priority: list[Text] = []
    forbidden: list[ForbiddenShape] = []
    link_ttl: Duration | None = None
    link_from_context_group_id: bool = False


class SqlShape(Shape):
    """`sql:` of a trait."""

    connection: Text
    query: Annotated[str, StringConstraints(min_length=1, max_length=65_535)]
    schedule: Text | None = None
    timeout: Annotated[Pause, _within("4 hours")] = "10 minutes"
    rows: int = Field(default=25_000_000, ge=1, le=25_000_000)  # T-34


class TraitShape(Shape):
    """One entry of `traits.yaml`: a trait, with `for_each` a family of them, or with `sql` those of its columns."""

    query: Text | None = None
    sql: SqlShape | None = None
    level: Literal["user", "account"] = "user"
    events_of: Literal["users", "account"] | None = None
    for_each: Text | None = None
    most: int | None = Field(default=None, alias="max", ge=1, le=1_000)
    expire: bool = False
    description: str = ""
    destinations: Deliveries = []


class AudienceShape(Shape):
    """One entry of `audiences.yaml`."""

    query: Text
    level: Literal["user", "account"] = "user"
    events_of: Literal["users", "account"] | None = None
    name: str = ""
    description: str = ""
    include_anonymous: bool | None = None
    wait_for_window: bool = False
    destinations: Deliveries = []


class LimitsShape(Shape):
    """`limits:` of a destination; its adapter keeps to what the vendor takes in a request, whatever stands here."""

    requests_per_second: float | None = Field(default=None, ge=0.01, le=1_000)
    records_per_request: int | None = Field(default=None, ge=1, le=100_000)
    timeout: Annotated[Pause, _within("10 minutes")] | None = None
    patience: Annotated[Pause, _within("24 hours")] | None = None


class DestinationShape(Shape):
    """One entry of `destinations.yaml`; the other keys are its adapter's settings.

    `identifiers` has two forms, which `populace.loading.destinations` reads, and `lists` are read there, too.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    kind: Text
    enabled: bool | str | None = None
    brake: Share = "50%"
    identifiers: Any = None
    limits: LimitsShape | None = None
    reassert_every: Duration | None = None
    lists: Any = None


# The shapes of what stands below these keys.
NESTED = {
    "identifiers": IdentifierShape,
    "forbidden": ForbiddenShape,
    "storage": StorageShape,
    "limits": LimitsShape,
    "sql": SqlShape,
}

# Keys that the design names and that a later version brings: refused by name, never ignored.
LATER = {"retention"}
