"""What a failure of a store calls for: a person, patience with the store, or another try.

A store says what happened in words for people and keeps its cause. Who sends to a place that belongs to somebody else
has to know more: whether it makes sense to go on (destinations.md 14.3).
"""

import errno
from typing import Any, Literal

from populace.errors import PopulaceError

Fault = Literal["refused", "throttled", "transient"]

# A person has to change the folder or its rights; a full disk may be emptied by itself.
REFUSALS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
THROTTLES = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "429"}
PASSING = {"RequestTimeout", "ConditionalRequestConflict", "OperationAborted"}  # although they are answers below 500


def fault(error: PopulaceError) -> Fault:
    """What an error raised by a store calls for, by what caused it."""
    from botocore.exceptions import ClientError

    cause = error.__cause__
    if isinstance(cause, OSError):
        return "refused" if cause.errno in REFUSALS else "transient"
    return _answered(cause.response) if isinstance(cause, ClientError) else _unanswered(cause)


def _answered(response: Any) -> Fault:
    """By the code and the status that the store answered with."""
    code = response.get("Error", {}).get("Code", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code in THROTTLES or status == 429:
        return "throttled"
    return "transient" if status >= 500 or status in (408, 409) or code in PASSING else "refused"


def _unanswered(cause: BaseException | None) -> Fault:
    """Settings and credentials can be wrong before anything is sent; after that it is the network."""
    from botocore import exceptions

    refusals = (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
        exceptions.ParamValidationError,
        exceptions.ValidationError,
    )
    return "refused" if isinstance(cause, refusals) else "transient"
