"""What a store is: objects below one root, each replaced only whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

READ_AHEAD = 4 * 2**20  # about what a store sends in the time it takes to answer a request


@dataclass(frozen=True, slots=True)
class Object:
    """One object as listed: path below the root, version tag, size in bytes.

    The tag changes when the content may have changed. In S3 it is the ETag; on a local disk it is
    size and time of change, which says nothing about the content: `Store.digest` does.
    """

    path: str
    tag: str
    size: int


class Store(Protocol):
    """Objects below one root.

    What a network does is made good below these methods: an answer that fails for the moment, comes
    cut short, or never comes is asked for again before anybody hears of it.
    """

    @property
    def root(self) -> str:
        """The URI of the place, for messages."""

    @property
    def options(self) -> dict[str, str]:
        """What polars needs to reach it, credentials included: never for messages."""

    def uri(self, path: str) -> str:
        """How definitions name what lies at a path."""

    def list(self, prefix: str = "") -> list[Object]:
        """Every object whose path starts with the prefix, sorted by path."""

    def read(self, path: str) -> bytes | None:
        """The object's bytes; None where there is no such object."""

    def open(self, path: str, ahead: int = READ_AHEAD) -> BinaryIO:
        """The object as a file to read and seek in, for what should not be in memory whole.

        It keeps to one version of the object: where another takes its place meanwhile, reading on
        gives the old bytes (a local disk) or the store's error (S3), never bytes of both.

        Parameters
        ----------
        ahead
            How many bytes a smaller read fetches at once, where fetching costs a request. A larger
            read fetches what it asks for, so a reader of exact ranges loses nothing.

        Raises
        ------
        PopulaceError
            The store's error, if there is no such object.
        """

    def replace(self, path: str, data: bytes) -> None:
        """Put the object in place of whatever was there, in one step."""

    def put_file(self, path: str, file: Path) -> None:
        """Put a copy of a local file in place of whatever was there, in one step, without reading it whole."""

    def create(self, path: str, data: bytes) -> bool:
        """Put the object only if there is none; False if there is one already."""

    def delete(self, path: str) -> None:
        """Remove the object; nothing happens where there is none."""

    def url(self, path: str) -> str:
        """What polars scans; use it with `options`."""

    def digest(self, found: Object) -> str:
        """A fingerprint of the object's content that no clock enters."""
