"""Objects as files below a folder of a local disk."""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from populace.errors import PopulaceError
from populace.lake.store import READ_AHEAD, Object

DRAFT = re.compile(r"\.[0-9a-f]{32}")
DRAFT_SECONDS = 86_400  # after which nobody can still be writing it
ESCAPED = str.maketrans({each: f"%{ord(each):02X}" for each in " #%?"})


class LocalStore:
    """Objects as files below a folder; what begins with a dot is no object."""

    def __init__(self, folder: str, error: type[PopulaceError]) -> None:
        self.root = f"file://{folder.translate(ESCAPED)}"
        self.folder = Path(folder)
        self.error = error
        self.options: dict[str, str] = {}
        self._swept: set[Path] = set()

    def uri(self, path: str) -> str:
        return f"{self.root}/{path.translate(ESCAPED)}".rstrip("/")

    def list(self, prefix: str = "") -> list[Object]:
        folder, _, beginning = prefix.rpartition("/")
        if "/." in f"/{folder}":
            return []
        with self._failing(folder):
            found = _walk(str(self.folder / folder), f"{folder}/" if folder else "", beginning)
        return sorted(found, key=lambda each: each.path)

    def exists(self) -> bool:
        return self.folder.is_dir()

    def read(self, path: str) -> bytes | None:
        with self._failing(path):
            try:
                return (self.folder / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def open(self, path: str, ahead: int = READ_AHEAD) -> BinaryIO:
        with self._failing(path):
            try:
                return (self.folder / path).open("rb")  # the system reads ahead itself
            except (FileNotFoundError, NotADirectoryError) as cause:
                message = f"{self.root}/{path}: there is no such object"
                raise self.error(message) from cause

    def replace(self, path: str, data: bytes) -> None:
        with self._draft(path, data) as draft:
            draft.replace(self.folder / path)

    def put_file(self, path: str, file: Path) -> None:
        with self._draft(path, b"") as draft:
            shutil.copyfile(file, draft)
            draft.replace(self.folder / path)

    def create(self, path: str, data: bytes) -> bool:
        with self._draft(path, data) as draft:
            try:
                (self.folder / path).hardlink_to(draft)
            except FileExistsError:
                return False
            return True

    def delete(self, path: str) -> None:
        with self._failing(path):
            (self.folder / path).unlink(missing_ok=True)

    def url(self, path: str) -> str:
        return str(self.folder / path)

    def digest(self, found: Object) -> str:
        with self._failing(found.path), (self.folder / found.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[Path]:
        """The data in a hidden file beside its target, gone afterwards."""
        target = self.folder / path
        draft = target.with_name(f".{uuid.uuid4().hex}")
        with self._failing(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(data)
                self._sweep(draft)
                yield draft
            finally:
                draft.unlink(missing_ok=True)

    def _sweep(self, draft: Path) -> None:
        """Remove what killed processes left beside a draft, by the clock of the disk: once for each folder."""
        folder = draft.parent
        if folder in self._swept:
            return
        self._swept.add(folder)
        oldest = draft.stat().st_mtime - DRAFT_SECONDS
        for path in [Path(each) for each in os.scandir(folder) if DRAFT.fullmatch(each.name)]:
            with suppress(OSError):  # another one removed it, or only its owner may
                if path.stat().st_mtime < oldest:
                    path.unlink()

    @contextmanager
    def _failing(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            message = (
                f"{self.root}/{self._place(path, cause)}: {cause.strerror or cause}; check the folder and its rights"
            )
            raise self.error(message) from cause

    def _place(self, path: str, cause: OSError) -> str:
        """What could not be reached: of a listing, some folder below the one that is listed."""
        below = Path(os.fsdecode(cause.filename or ""))
        is_below = isinstance(cause, PermissionError) and below.is_relative_to(self.folder / path)
        return below.relative_to(self.folder).as_posix() if is_below else path


def _walk(folder: str, below: str, beginning: str = "") -> list[Object]:
    """The objects in a folder and its folders; what is deleted meanwhile is passed over."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    with entries:  # a plain loop: 100,000 files take half a second, twice that as a generator
        for each in entries:
            name = each.name
            if name[0] == "." or not name.startswith(beginning):
                continue
            if each.is_dir():
                if not (each.is_symlink() and _leads_back(each.path, folder)):
                    found += _walk(each.path, f"{below}{name}/")
                continue
            try:
                stat = each.stat()
            except FileNotFoundError:
                continue
            # The time of change as well, which no tool sets back as it may the time of writing.
            tag = f"{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_size}"
            found.append(Object(below + name, tag, stat.st_size))
    return found


def _leads_back(link: str, folder: str) -> bool:
    """Whether a link leads to a folder that it lies in."""
    return f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(link)}/")
