"""Every error a user can meet, and the exit code each one means.

PopulaceError              1  the command failed; the published run is as it was
├── DefinitionError        2  wrong definitions: all of them at once, each with file and line
├── UsageError             2  the command line asks for something that does not exist
├── ArchiveError           1  the archive cannot be read: bucket, credentials, a broken object
├── LakeError              1  the lake cannot be read or written
├── StaleError             1  a connected source is not completely replayed
├── StatementError         1  a statement of SQL cannot be run, or gives no traits
└── DestinationError       1  a destination cannot be reached or refuses us
    ├── Transient             worth another try
    │   └── Waiting           records wait for the next sync, since this one has tried long enough
    ├── Throttled             worth another try after the time the vendor names
    └── Refused               credentials or configuration: trying again cannot help

A failing request is an exception; a failing record is a row with an outcome.
"""


class PopulaceError(Exception):
    """Something a user can act on; printed without a traceback."""

    exit_code = 1


class DefinitionError(PopulaceError):
    """The definitions of a space are wrong; holds one line for each problem found."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UsageError(PopulaceError):
    """The command names a thing that is not there, or two things that exclude each other."""

    exit_code = 2


class ArchiveError(PopulaceError):
    """The archive of a source cannot be read."""


class LakeError(PopulaceError):
    """The lake cannot be read or written."""


class StaleError(PopulaceError):
    """A connected source has objects that are not replayed yet, so a run would be stale."""


class StatementError(PopulaceError):
    """A statement of an SQL trait cannot be run, or what it gives breaks a rule (T-31 to T-46)."""


class DestinationError(PopulaceError):
    """A destination did not take what it was sent."""


class Transient(DestinationError):
    """The network or the vendor failed for the moment; the same request may succeed later."""


class Waiting(Transient):
    """A sync was as patient as it may be, and left records waiting for the next one."""


class Throttled(DestinationError):
    """The vendor asks to wait.

    Parameters
    ----------
    after
        Seconds to wait before the next request; None where the vendor does not say.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Refused(DestinationError):
    """Credentials or configuration are wrong: the destination is paused until a person acts."""
