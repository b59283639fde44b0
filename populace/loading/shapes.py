"""What definition files may look like: the authoring side, from which the frozen nodes are made."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,254}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* (hours?|days?)$")]
Limit = Annotated[str, StringConstraints(pattern=r"^(none|[1-9][0-9]*( (ever|daily|weekly|monthly|annually))?)$")]
Deliveries = list[Text | Annotated[dict[Text, Text], Field(min_length=1, max_length=1)]]

# What an example shows where a value does not match, by the type's pattern.
EXAMPLES = {
    Name.__metadata__[0].pattern: "a lower-case name such as web_shop",
    Key.__metadata__[0].pattern: "a lower-case key such as new_users_7_days",
    Duration.__metadata__[0].pattern: "a length such as 60 days or 36 hours",
    Limit.__metadata__[0].pattern: "a limit such as 5 weekly, 1 ever, or none",
}


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class StorageShape(Shape):
    endpoint_url: Text | None = None
    region: Text | None = None


class SpaceShape(Shape):
    space: Name
    lake: Text
    storage: StorageShape = StorageShape()
    window: Duration = "30 days"
    include_anonymous: bool = False


class SourceShape(Shape):
    archive: Text
    layout: Literal["raw"] = "raw"
    storage: StorageShape | None = None
    since: date | None = None
    keep_context: list[Text] = []


class IdentifierShape(Shape):
    limit: Limit | Annotated[int, Field(ge=1)] | None = None
    normalize: Literal["none", "trim", "trim_lower"] | None = None
    read_from: Text | None = Field(default=None, alias="from")
    blocked: list[Text] = []


class IdentityShape(Shape):
    identifiers: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,62}$")], IdentifierShape | None] = {}
    blocked: list[Text] | None = None
    priority: list[Text] = []


class TraitShape(Shape):
    query: Text
    description: str = ""
    destinations: Deliveries = []


class AudienceShape(Shape):
    query: Text
    name: str = ""
    description: str = ""
    include_anonymous: bool | None = None
    destinations: Deliveries = []


class DestinationShape(Shape):
    model_config = ConfigDict(extra="allow", strict=True)

    kind: Text
    enabled: bool | str | None = None


# Keys that the design names and that a later version brings: refused by name, never ignored.
LATER = {
    "retention", "silent_after", "forbidden", "for_each", "max", "sql", "level", "expire",
    "wait_for_window", "brake", "identifiers", "limits", "reassert_every",
}  # fmt: skip
