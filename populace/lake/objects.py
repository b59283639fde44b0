"""Whole objects under a `file:` or `s3:` URI: list, read, replace, create once, delete.

Two laws of the lake rest on this module: an object is only ever replaced whole, so that a reader
never sees half of one, and `create` lets exactly one of several writers win.
"""

import hashlib
import io
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import polars as pl

from populace.definitions import Storage
from populace.errors import LakeError, PopulaceError

ROW_GROUP = 262_144  # fixed, so that equal rows give equal bytes


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
    """Objects below one root."""

    @property
    def root(self) -> str:
        """The URI of the place, for messages."""

    @property
    def options(self) -> dict[str, str]:
        """What polars needs to reach it, credentials included: never for messages."""

    def list(self, prefix: str = "") -> list[Object]:
        """Every object whose path starts with the prefix, sorted by path."""

    def read(self, path: str) -> bytes | None:
        """The object's bytes; None where there is no such object."""

    def replace(self, path: str, data: bytes) -> None:
        """Put the object in place of whatever was there, in one step."""

    def create(self, path: str, data: bytes) -> bool:
        """Put the object only if there is none; False if there is one already."""

    def delete(self, path: str) -> None:
        """Remove the object; nothing happens where there is none."""

    def url(self, path: str) -> str:
        """What polars scans; use it with `options`."""

    def digest(self, found: Object) -> str:
        """A fingerprint of the object's content that no clock enters."""


def open_store(uri: str, storage: Storage, error: type[PopulaceError] = LakeError) -> Store:
    """The store behind a `file:` or `s3:` URI.

    Parameters
    ----------
    uri
        `file:///folder` or `s3://bucket/prefix`.
    storage
        Endpoint and region for S3; credentials come from boto3's usual chain.
    error
        What to raise when the store fails: an archive and a lake fail differently.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return LocalStore(unquote(parts.path), error)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"), storage, error)
    message = f"{uri}: not a place Populace can read; write file:///folder or s3://bucket/prefix"
    raise error(message)


# --- tables and documents on top of bytes ---------------------------------------------------


def scan(store: Store, *paths: str, schema: Mapping[str, pl.DataType] | None = None) -> pl.LazyFrame:
    """Parquet objects as one table, lazily; nothing in a path is taken for a pattern or a partition.

    Parameters
    ----------
    schema
        The columns to read, which every object must have; without it objects must be alike.
    """
    return pl.scan_parquet(
        [store.url(path) for path in paths],
        storage_options=store.options or None,
        glob=False,
        hive_partitioning=False,
        schema=schema,
        extra_columns="ignore" if schema else "raise",
    )


def write_table(store: Store, path: str, frame: pl.DataFrame) -> None:
    """Replace a Parquet object; equal frames give equal bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
    store.replace(path, buffer.getvalue())


def read_json(store: Store, path: str) -> Any:
    """A JSON document; None where there is none."""
    data = store.read(path)
    return None if data is None else json.loads(data)


def to_json(document: Any) -> bytes:
    """Canonical JSON: sorted keys, so that equal documents are equal bytes."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def write_json(store: Store, path: str, document: Any) -> None:
    """Replace a JSON document."""
    store.replace(path, to_json(document))


# --- a local disk -----------------------------------------------------------------------------


class LocalStore:
    """Objects as files below a folder."""

    def __init__(self, folder: str, error: type[PopulaceError]) -> None:
        self.root = f"file://{folder}"
        self.folder = Path(folder)
        self.error = error
        self.options: dict[str, str] = {}

    def list(self, prefix: str = "") -> list[Object]:
        start = self.folder / prefix.rpartition("/")[0]
        with self._failing(str(start)):
            paths = (
                (Path(top) / name).relative_to(self.folder).as_posix()
                for top, _, names in os.walk(start)
                for name in names
            )
            visible = sorted(path for path in paths if path.startswith(prefix) and "/." not in f"/{path}")
            return [found for path in visible if (found := self._object(path))]

    def _object(self, path: str) -> Object | None:
        """The object, unless it was deleted since it was listed."""
        try:
            stat = (self.folder / path).stat()
        except FileNotFoundError:
            return None
        return Object(path, f"{stat.st_mtime_ns}-{stat.st_size}", stat.st_size)

    def exists(self) -> bool:
        return self.folder.is_dir()

    def read(self, path: str) -> bytes | None:
        with self._failing(path):
            try:
                return (self.folder / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def replace(self, path: str, data: bytes) -> None:
        with self._draft(path, data) as draft:
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
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[Path]:
        """The data in a hidden file beside its target, gone afterwards."""
        target = self.folder / path
        draft = target.with_name(f".{uuid.uuid4().hex}")
        with self._failing(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(data)
                yield draft
            finally:
                draft.unlink(missing_ok=True)

    @contextmanager
    def _failing(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            message = f"{self.root}/{path}: {cause.strerror or cause}; check the folder and its rights"
            raise self.error(message) from cause


# --- S3 ---------------------------------------------------------------------------------------

REMEDIES = {
    "NoSuchBucket": "the bucket does not exist; check its name and the endpoint, or create it",
    "InvalidAccessKeyId": "the access key is unknown; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "access is denied; check the credentials and the bucket's policy",
    "403": "access is denied; check the credentials and the bucket's policy",
    "ExpiredToken": "the session token has expired; renew the credentials",
    "RequestTimeTooSkewed": "the clock of this machine is off; set it",
}
MISSING = {"NoSuchKey", "404"}
EXISTS = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


class S3Store:
    """Objects below a prefix of a bucket, in S3 or anything that speaks its protocol."""

    def __init__(self, bucket: str, prefix: str, storage: Storage, error: type[PopulaceError]) -> None:
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.storage = storage
        self.error = error

    @cached_property
    def session(self) -> Any:
        import boto3  # 0.3 s of import that a local lake does not pay

        return boto3.Session(region_name=self.storage.region)

    @cached_property
    def client(self) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            # Several compatible stores refuse the trailing checksums that boto3 sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = self.session.region_name or "us-east-1"
        return self.session.client("s3", endpoint_url=self.storage.endpoint_url, region_name=region, config=config)

    @cached_property
    def options(self) -> dict[str, str]:
        """What polars needs to read the same bucket with the same credentials."""
        keys = self.session.get_credentials()
        if keys is None:
            message = f"{self.root}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise self.error(message)
        keys = keys.get_frozen_credentials()
        endpoint = self.client.meta.endpoint_url
        settings = {
            "aws_endpoint_url": endpoint,
            "aws_region": self.client.meta.region_name,
            "aws_access_key_id": keys.access_key,
            "aws_secret_access_key": keys.secret_key,
            "aws_session_token": keys.token,
            "aws_allow_http": "true" if endpoint.startswith("http://") else None,
        }
        return {name: value for name, value in settings.items() if value}

    def list(self, prefix: str = "") -> list[Object]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        found = self._call(prefix, lambda: [each for page in pages for each in page.get("Contents", ())])
        return sorted(
            (Object(each["Key"].removeprefix(self.prefix), each["ETag"].strip('"'), each["Size"]) for each in found),
            key=lambda each: each.path,
        )

    def read(self, path: str) -> bytes | None:
        def get() -> bytes:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read()

        return self._call(path, get, otherwise=dict.fromkeys(MISSING))

    def replace(self, path: str, data: bytes) -> None:
        self._call(path, lambda: self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=data))

    def create(self, path: str, data: bytes) -> bool:
        def put() -> bool:
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=data, IfNoneMatch="*")
            return True

        return self._call(path, put, otherwise=dict.fromkeys(EXISTS, False))

    def delete(self, path: str) -> None:
        self._call(path, lambda: self.client.delete_object(Bucket=self.bucket, Key=self.prefix + path))

    def url(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{path}"

    def digest(self, found: Object) -> str:
        return found.tag

    def _call(self, path: str, call: Callable[[], Any], otherwise: dict[str, Any] | None = None) -> Any:
        """Make a call; answers listed in `otherwise` are results, the rest are errors with a remedy."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        where = f"{self.root}/{path}".rstrip("/")
        try:
            return call()
        except ClientError as cause:
            code = cause.response["Error"]["Code"]
            if code in (otherwise or {}):
                return (otherwise or {})[code]
            message = f"{where}: {REMEDIES.get(code, f'the store answered {code}')}"
            raise self.error(message) from cause
        except NoCredentialsError as cause:
            message = f"{where}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise self.error(message) from cause
        except BotoCoreError as cause:
            message = f"{where}: {cause}; check the endpoint and the network"
            raise self.error(message) from cause
