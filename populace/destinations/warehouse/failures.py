"""What the errors of databases mean: the outcome of a batch, and what a person should do about it."""

from populace.destinations.protocol import Outcome

# Classes and codes of SQLSTATE, longest match first (destinations.md 14.2).
STATES: tuple[tuple[str, Outcome, str], ...] = (
    ("42501", "refused", "the user lacks a right; grant it, or name another user"),
    ("57014", "transient", "the statement was cancelled"),
    ("57P04", "refused", "the database was dropped; create it, or name another"),
    ("3F000", "refused", "the schema does not exist and cannot be created"),
    ("40001", "transient", "another transaction was in the way"),
    ("40P01", "transient", "another transaction was in the way"),
    ("55P03", "transient", "a lock was not free"),
    ("57P0", "transient", "the server is going down or starting up"),
    ("08", "transient", "the connection broke"),
    ("53", "transient", "the server is out of disk, memory or connections"),
    ("3D", "refused", "the database does not exist; create it, or name another"),
    ("28", "refused", "the user or password is not accepted; check the URL"),
    ("25006", "refused", "the server is read-only; name the primary"),
    ("22", "invalid", "a value the database cannot hold"),
    ("23", "invalid", "a constraint of the table is violated"),
    ("0A", "invalid", "a column cannot be changed for this value"),
    ("42", "invalid", "the table does not take this record"),
    ("54", "invalid", "a limit of the database is exceeded"),
)

# libpq reports a failed connection without SQLSTATE; what the server says then is one of these.
CONNECTING: tuple[tuple[str, Outcome, str], ...] = (
    ("authentication failed", "refused", "the user or password is not accepted; check the URL"),
    ("no password supplied", "refused", "the server asks for a password; put one into the URL"),
    ("no pg_hba.conf entry", "refused", "the server does not admit this user from here"),
    ("does not exist", "refused", "there is no such user or database; check the URL"),
    ("invalid ", "refused", "the URL cannot be read; percent-encode special characters of the password"),
    ("file is not a database", "refused", "the file is not an SQLite database; name another"),
    ("unable to open", "refused", "the file cannot be opened; check the folder and its rights"),
    ("failed to open", "refused", "the file cannot be opened; check the folder and its rights"),
    ("readonly database", "refused", "the file cannot be written; check its rights"),
)


def meaning(state: str | None, message: str, *, is_connecting: bool = False) -> tuple[Outcome, str]:
    """Outcome and remedy for a database error; the message itself may hold data and goes no further."""
    if state:
        matches = (each for each in STATES if state.startswith(each[0]))
        found = next(matches, ("", "unknown", "the database failed"))
        return found[1], f"SQLSTATE {state}: {found[2]}"
    known = next((each for each in CONNECTING if each[0] in message), None)
    if known and (is_connecting or "file" in known[2]):
        return known[1], known[2]
    return ("transient", "cannot be reached") if is_connecting else ("transient", "the database failed")
