"""Whole objects under a `file:` or `s3:` URI: list, read, replace, create once, delete.

Two laws of the lake rest on this module: an object is only ever replaced whole, so that a reader
never sees half of one, and `create` lets exactly one of several writers win.
"""

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl

from populace.definitions import Storage
from populace.errors import LakeError, PopulaceError
from populace.lake.local import LocalStore
from populace.lake.s3 import Keys, S3Store
from populace.lake.store import Object, Store

__all__ = [
    "Keys",
    "LocalStore",
    "Object",
    "S3Store",
    "Store",
    "open_store",
    "read_json",
    "scan",
    "to_json",
    "write_json",
    "write_table",
]

ROW_GROUP = 262_144  # fixed, so that equal rows give equal bytes


def open_store(uri: str, storage: Storage, error: type[PopulaceError] = LakeError, keys: Keys | None = None) -> Store:
    """The store behind a `file:` or `s3:` URI.

    Parameters
    ----------
    uri
        `file:///folder` or `s3://bucket/prefix`.
    storage
        Endpoint and region for S3.
    error
        What to raise when the store fails: an archive and a lake fail differently.
    keys
        Credentials for S3; without them they come from boto3's usual chain.
    """
    parts = urlsplit(uri)
    if parts.query or parts.fragment:
        message = f"{uri}: `?` and `#` have a meaning of their own here; write %3F and %23 if a folder is called so"
        raise error(message)
    if parts.scheme == "file":
        return LocalStore(unquote(parts.path), error)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"), storage, error, keys)
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


def write_table(store: Store, path: str, frame: pl.DataFrame, row_group: int = ROW_GROUP) -> None:
    """Replace a Parquet object; equal frames give equal bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, row_group_size=row_group)
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
