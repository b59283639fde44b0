"""`identity.yaml` as the rules of identity, with the defaults of whatever it leaves out."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from populace.definitions import BUILT_IN, GROUP_ID, Forbidden, Identifier, Identity, Limit
from populace.loading import shapes
from populace.loading.checks import meant
from populace.loading.documents import Document, Keys
from populace.spelling import snake

SUGGESTED_BLOCKS = ("^[0-]*$", "-1", "null", "anonymous")  # I-11
USUAL = ("user_id", "email", "anonymous_id")  # where no identifier is listed
PERIODS = {"ever": None, "daily": 1, "weekly": 7, "monthly": 30, "annually": 365}  # in days, I-24
CUSTOM = re.compile(r"^[a-z][a-z0-9_]*$")

MOST = 1_000  # identifiers of a profile, of whatever type, I-45

Built = Mapping[str, Identifier]


def identity(shape: shapes.IdentityShape | None, document: Document) -> Identity:
    """The rules; what is wrong with them is noted in the document."""
    shape = shape or shapes.IdentityShape()
    listed = shape.identifiers or dict.fromkeys(USUAL)
    built = {key: _identifier(document, key, each or shapes.IdentifierShape()) for key, each in listed.items()}
    if not built.keys() - {GROUP_ID}:
        document.report(("identifiers",), "nothing here names people; list user_id, email or another identifier too")
    _check_sources(document, built)
    _check_priority(document, shape.priority, built)
    blocked = SUGGESTED_BLOCKS if shape.blocked is None else tuple(shape.blocked)
    _check_patterns(document, ("blocked",), blocked)
    forbidden = [_forbidden(document, number, each, built) for number, each in enumerate(shape.forbidden)]
    ordered = dict.fromkeys([*shape.priority, "user_id", "email", *sorted(built)])  # I-30
    return Identity(
        tuple(built[key] for key in ordered if key in built),
        blocked,
        tuple(each for each in forbidden if each),
        shapes.length(shape.link_ttl) if shape.link_ttl else None,
        shape.link_from_context_group_id,
    )


def _identifier(document: Document, key: str, shape: shapes.IdentifierShape) -> Identifier:
    keys = ("identifiers", key)
    if key not in BUILT_IN and not CUSTOM.match(key):
        problem = f"'{key}' is no identifier; a custom one has a lower-case name such as app_id"
        document.report(keys, problem + (meant(key, BUILT_IN) if "." in key else ""))
    if key == "profile_id":
        document.report(keys, "'profile_id' is what profiles are called by in every table; choose another name")
    if key in BUILT_IN and shape.read_from:
        document.report((*keys, "from"), f"'{key}' has places of its own; `from` is for custom identifiers")
    if key == GROUP_ID and shape.limit:
        document.report((*keys, "limit"), "'group_id' names accounts, which have no limit; leave it out")
    limit = _limit(key, shape.limit)
    if limit and limit.most > MOST:
        problem = f"'{shape.limit}' limits nothing: a profile holds {MOST:,} identifiers at most; write less, or none"
        document.report((*keys, "limit"), problem)
    _check_patterns(document, (*keys, "blocked"), shape.blocked)
    return Identifier(
        id_type=key,
        normalize=shape.normalize or ("trim_lower" if key == "email" else "trim"),  # I-8
        read_from=None if key in BUILT_IN else shape.read_from or key,
        limit=limit,
        blocked=tuple(shape.blocked),
        at=document.place(keys),
    )


def _limit(key: str, written: str | None) -> Limit | None:
    """I-20 where nothing is written; no period means ever."""
    if written is None:
        return Limit(1 if key == "user_id" else 5)
    if written == "none":
        return None
    most, _, period = written.partition(" ")
    days = PERIODS[period or "ever"]
    return Limit(int(most), None if days is None else timedelta(days=days))


def _check_sources(document: Document, built: Built) -> None:
    """A custom identifier must not read what another one reads: each value would count twice."""
    taken = {snake(key): key for key in BUILT_IN}
    for key, each in built.items():
        if each.read_from is None:
            continue
        other = taken.setdefault(snake(each.read_from), key)  # I-3
        if other != key:
            problem = f"'{key}' reads what '{other}' reads already, '{each.read_from}'; leave one of them out"
            document.report(("identifiers", key), problem)


def _check_priority(document: Document, priority: list[str], built: Built) -> None:
    for number, key in enumerate(priority):
        if key not in built:
            document.report(("priority", number), f"no identifier '{key}'{meant(key, built)}")
        elif key in priority[:number]:
            document.report(("priority", number), f"'{key}' stands twice")
        elif key == GROUP_ID:
            document.report(("priority", number), "'group_id' names accounts, which have no priority; leave it out")


def _check_patterns(document: Document, keys: Keys, blocked: Sequence[str]) -> None:
    for number, each in enumerate(blocked):
        if each.startswith("^") and not _is_pattern(each):
            document.report((*keys, number), f"'{each}' is not a valid pattern")


def _is_pattern(text: str) -> bool:
    """Whether the engine can match it, by the syntax of RE2 (I-14): classes and flags of its own, no look around."""
    try:
        re.compile(re.sub(r"\\[pP](\{\^?\w+\}|\w)|\[:\^?\w+:\]|\(\?[imsUx]+\)", "x", text))
    except re.error:
        return False
    return not re.search(r"\(\?(<?[=!]|>|\(|P=)|\\[1-9]", text)


def _forbidden(document: Document, number: int, shape: shapes.ForbiddenShape, built: Built) -> Forbidden | None:
    keys = ("forbidden", number)
    pair = [next(iter(each.items())) for each in shape.pair]
    unknown = [key for key, _ in pair if key not in built]
    for key in unknown:
        document.report(keys, f"no identifier '{key}'{meant(key, built)}")
    if unknown:
        return None
    one, other = ((key, _compared(built[key], str(value))) for key, value in pair)
    if one == other:
        document.report(keys, "a pair of two equal identifiers forbids nothing; name two")
    return Forbidden((one, other), shape.because, document.place(keys))


def _compared(rule: Identifier, value: str) -> str:
    """A value as it is compared, I-8."""
    trimmed = value if rule.normalize == "none" else value.strip()
    return trimmed.lower() if rule.normalize == "trim_lower" else trimmed
