"""Object storage: the current state and the changes of every sync as files, and a manifest that says which are valid.

Below `<url>/<space>/`:

* `manifest.json`, replaced last and in one step: what it names is valid, and nothing else is.
* `audiences/<key>/…` and `traits/<key>/…`: the current state of a computation, one row for each identifier, sorted by
  (id_type, id_value): members without those who left, values without nulls.
* `accounts/audiences/<key>/…` and `accounts/traits/<key>/…`: likewise in the form `group`, one row for each account.
* `changes/<sync>/part-00000.parquet`: what the sync changed, one row for each record.

A sync is named by its run and its generation, so that repeating it replaces what it wrote before. The name of a state
file ends with the start of its digest: an object that some manifest names is never replaced by another content, and
whoever still reads by the manifest of before reads what that says. After destinations.md 14.3.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from populace.destinations.protocol import GROUP, PROPERTY, About, Origin, Setting, Settings

ABOUT = About(
    title="Object storage",
    forms=(PROPERTY, GROUP),
    settings=(
        Setting("url", "`s3://bucket/folder`, `file:///folder` or `file:folder`", is_required=True),
        Setting("format", "`parquet` or `csv`"),
        Setting("endpoint_url", "of a store that is not AWS"),
        Setting("region", "of the bucket, such as `eu-central-1`"),
        Setting("access_key_id", "with the next one; without both boto3's usual chain", is_secret=True),
        Setting("secret_access_key", "of that id", is_secret=True),
        Setting("keep_changes", "of how many syncs the changes stay, 100 by default; 0 writes none"),
    ),
    identifies=(),
    compared=("value", "profile_id"),
)

Computation = tuple[str, str, str]  # kind, key, form

VERSION = 1
MANIFEST = "manifest.json"
FORMATS = ("parquet", "csv")
FILE_ROWS = {"parquet": 1_000_000, "csv": 100_000}  # as many rows as Segment puts into a CSV file
KEPT_CHANGES = 100  # syncs whose changes stay: three months of nights

OURS = re.compile(r"(accounts/)?(audiences|traits)/[^/]+/[^/]+-\d{5}-[0-9a-f]{12}\.\w+|changes/[^/]+/part-\d{5}\.\w+")


def account(settings: Settings) -> str:
    return f"{settings.get('endpoint_url', '')} {settings['url'].rstrip('/')}".strip()


def problems(settings: Settings) -> list[str]:
    """What is wrong with the settings, as written or as resolved."""
    found = [*_problems_of_url(settings["url"])]
    if (form := settings.get("format", FORMATS[0])) not in FORMATS and "${" not in form:
        found.append(f"'format' must be {' or '.join(FORMATS)}")
    if not settings.get("endpoint_url", "https://").startswith(("http://", "https://", "${")):
        found.append("'endpoint_url' must start with https:// or http://")
    if bool(settings.get("access_key_id")) != bool(settings.get("secret_access_key")):
        found.append("'access_key_id' and 'secret_access_key' go together; write both, or none for boto3's usual chain")
    kept = settings.get("keep_changes", str(KEPT_CHANGES))
    if not kept.isdecimal() and "${" not in kept:
        found.append("'keep_changes' must be a number of syncs, 0 or more")
    return found


def _problems_of_url(url: str) -> Iterator[str]:
    if url.startswith("${"):
        return
    parts = urlsplit(url)
    is_bucket = parts.scheme == "s3" and bool(parts.netloc)
    is_folder = parts.scheme == "file" and not parts.netloc and bool(parts.path)
    if not (is_bucket or is_folder):
        yield "'url' must be s3://bucket/prefix, file:///folder or file:folder"
    if "@" in parts.netloc:
        yield "'url' must not hold credentials; write 'access_key_id' and 'secret_access_key'"
    if parts.query or parts.fragment:
        yield "'url' must not hold ? or #; write %3F and %23 if a folder is called so"


def kept_changes(settings: Settings) -> int:
    """Of how many syncs the changes stay."""
    return int(settings.get("keep_changes", KEPT_CHANGES))


# --- the manifest ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class File:
    """One object: its path beside the manifest, its rows, and the SHA-256 of its bytes."""

    path: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    """What the destination holds of one computation.

    `value` says what the column of that name holds: 'integer', 'number', 'boolean', 'text', or 'json' where values
    differ in type or are lists; '' of an audience, which has no such column. `sync` is the one that wrote it last.
    """

    kind: str
    key: str
    form: str
    value: str
    rows: int
    sync: str
    files: tuple[File, ...]

    @property
    def computation(self) -> Computation:
        return self.kind, self.key, self.form


@dataclass(frozen=True, slots=True)
class Change:
    """What one sync changed."""

    sync: str
    run_id: str
    as_of: str
    rows: int
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files are valid.

    Parameters
    ----------
    space, destination, format
        Whose files these are, and how they are written.
    sync, run_id, generation, as_of
        The sync that wrote the manifest, and what it came from.
    computations
        The state of each computation, sorted.
    changes
        The changes of each sync that is kept, newest last.
    before
        Files that the sync before has named: whoever began to read by its manifest may still be at them.
    """

    space: str
    destination: str
    format: str
    sync: str
    run_id: str
    generation: int
    as_of: str
    computations: tuple[State, ...] = ()
    changes: tuple[Change, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """The paths of all valid files."""
        files = [each.files for each in self.computations] + [each.files for each in self.changes]
        return {file.path for each in files for file in each}

    def state(self, computation: Computation) -> State | None:
        return next((each for each in self.computations if each.computation == computation), None)

    def changed(self, sync: str) -> tuple[File, ...]:
        """The changes of that sync which are written already."""
        return next((each.files for each in self.changes if each.sync == sync), ())


def sync_name(origin: Origin) -> str:
    return quote(f"{origin.run_id}-{origin.generation}", safe="")


def document(manifest: Manifest) -> dict[str, Any]:
    return {"version": VERSION, **asdict(manifest)}


def read(document: Any) -> Manifest:
    """The manifest that a document says.

    Raises
    ------
    ValueError
        If it says none, or one of a version to come.
    """
    try:
        known = {name: value for name, value in document.items() if name != "version"}
        if document["version"] != VERSION:
            message = f"version {document['version']}"
            raise ValueError(message)
        known["computations"] = tuple(State(**{**each, "files": _files(each)}) for each in known["computations"])
        known["changes"] = tuple(Change(**{**each, "files": _files(each)}) for each in known["changes"])
        known["before"] = tuple(known["before"])
        return Manifest(**known)
    except (AttributeError, LookupError, TypeError) as cause:
        message = "not a manifest"
        raise ValueError(message) from cause


def _files(document: Mapping[str, Any]) -> tuple[File, ...]:
    return tuple(File(**each) for each in document["files"])


def following(
    before: Manifest | None, origin: Origin, settings: Settings, written: Iterable[State], changes: Sequence[File]
) -> Manifest:
    """The manifest after a sync.

    Parameters
    ----------
    before
        The manifest that stands; None where there is none.
    written
        The states that are new; all others stay.
    changes
        All files with changes of this sync, those that stand already included.
    """
    standing = before or Manifest(origin.space, origin.destination, "", "", "", 0, "")
    states = {each.computation: each for each in (*standing.computations, *written)}
    now = Change(sync_name(origin), origin.run_id, origin.as_of, sum(each.rows for each in changes), tuple(changes))
    others = [each for each in standing.changes if each.sync != now.sync]
    kept = kept_changes(settings)
    manifest = replace(
        standing,
        format=settings.get("format", FORMATS[0]),
        sync=now.sync,
        run_id=origin.run_id,
        generation=origin.generation,
        as_of=origin.as_of,
        computations=tuple(states[each] for each in sorted(states)),
        changes=(*others, now)[-kept:] if kept else (),
    )
    # A sync may write several manifests; all of them follow the last one of the sync before.
    if standing.sync != manifest.sync:
        manifest = replace(manifest, before=tuple(sorted(standing.names)))
    return manifest


def obsolete(paths: Iterable[str], before: Manifest | None, manifest: Manifest) -> list[str]:
    """Which objects nobody needs any more: ours, and named neither now nor by the manifests before."""
    needed = manifest.names | set(manifest.before) | (before.names if before else set())
    return [path for path in paths if OURS.fullmatch(path) and path not in needed]


def written_otherwise(before: Manifest | None, form: str) -> list[Computation]:
    """Computations that lie in files of another format: with the setting all of them change."""
    states = before.computations if before else ()
    return [each.computation for each in states if any(form_of(file) != form for file in each.files)]


# --- names of files -------------------------------------------------------------------------------


def state_path(computation: Computation, sync: str, part: int, sha256: str, form: str) -> str:
    kind, key, about = computation
    return f"{'accounts/' * (about == GROUP)}{kind}s/{quote(key, safe='')}/{sync}-{part:05}-{sha256[:12]}.{form}"


def changes_path(sync: str, part: int, form: str) -> str:
    return f"changes/{sync}/part-{part:05}.{form}"


def form_of(file: File) -> str:
    return file.path.rpartition(".")[2]
