"""Objects in S3, or in anything that speaks its protocol, across a network that may fail at any moment.

botocore sends a request again that got no answer or one that blames the moment, with growing pauses.
What it does not see is made good here: an answer cut short after its first bytes, and a conditional
write whose first answer was lost, so that the second one finds the object that the first one made.
"""

import contextlib
import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from populace.definitions import Storage
from populace.errors import PopulaceError
from populace.lake.store import READ_AHEAD, Object

TRIES = 7  # of one request: pauses of 2 s in all, or 25 s where the store asks for fewer requests
TURNS = 6  # of one call, for what botocore does not see; without pauses of their own
MARK = "writer"

REMEDIES = {
    "NoSuchBucket": "the bucket does not exist; check its name and the endpoint, or create it",
    "InvalidAccessKeyId": "the access key is unknown; check AWS_ACCESS_KEY_ID, or the key in the settings",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY, or the key in the settings",
    "AccessDenied": "access is denied; check the credentials and the bucket's policy",
    "403": "access is denied; check the credentials and the bucket's policy",
    "ExpiredToken": "the session token has expired; renew the credentials",
    "RequestTimeTooSkewed": "the clock of this machine is off; set it",
    "SlowDown": "the store asks for fewer requests; try again later",
}
MISSING = {"NoSuchKey", "404"}
EXISTS = {"PreconditionFailed", "412"}
GONE = MISSING | {"InvalidRange", "416"}  # of a version that was there a moment ago
# Another writer is at the object this moment; an upload was completed, but the answer to that was lost.
UNSETTLED = {"ConditionalRequestConflict", "OperationAborted", "409", "NoSuchUpload"}


class CutShort(Exception):
    """An answer is not whole."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of a place of its own, where the usual ones are for other places."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


class S3Store:
    """Objects below a prefix of a bucket; without `keys` credentials come from boto3's usual chain."""

    def __init__(
        self, bucket: str, prefix: str, storage: Storage, error: type[PopulaceError], keys: Keys | None = None
    ) -> None:
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.storage = storage
        self.error = error
        self.keys = keys

    @cached_property
    def session(self) -> Any:
        import boto3  # 0.3 s of import that a local lake does not pay

        if self.keys is None:
            return boto3.Session(region_name=self.storage.region)
        return boto3.Session(self.keys.access_key_id, self.keys.secret_access_key, region_name=self.storage.region)

    @cached_property
    def client(self) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": TRIES},
            connect_timeout=10,
            max_pool_connections=32,  # as many as replay fetches and writes at once
            read_timeout=60,
            # Several compatible stores refuse the trailing checksums that boto3 sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = self.session.region_name or "us-east-1"
        client = self.session.client("s3", endpoint_url=self.storage.endpoint_url, region_name=region, config=config)
        client.meta.events.register("before-parse.s3", _check_length)
        return client

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

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}".rstrip("/")

    def list(self, prefix: str = "") -> list[Object]:
        found: list[dict[str, Any]] = []
        after: dict[str, str] | None = {}
        while after is not None:
            # A page a call: of a long listing, one page or another is always cut short.
            page = self._call(prefix, partial(self._page, prefix, after))
            found += page.get("Contents", ())
            token = page.get("NextContinuationToken")
            after = {"ContinuationToken": token} if token else None
        return sorted(
            (Object(each["Key"].removeprefix(self.prefix), each["ETag"].strip('"'), each["Size"]) for each in found),
            key=lambda each: each.path,
        )

    def _page(self, prefix: str, after: dict[str, str]) -> dict[str, Any]:
        return self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + prefix, **after)

    def read(self, path: str) -> bytes | None:
        return self._call(path, lambda: _body(self._get(path)), otherwise=dict.fromkeys(MISSING))

    def open(self, path: str, ahead: int = READ_AHEAD) -> BinaryIO:
        head = self._call(path, lambda: self.client.head_object(**self._at(path)), otherwise=dict.fromkeys(MISSING))
        if head is None:
            message = f"{self._where(path)}: there is no such object, or no such bucket"
            raise self.error(message)
        return cast(BinaryIO, RangedFile(partial(self._part, path, head["ETag"]), head["ContentLength"], ahead))

    def _part(self, path: str, tag: str, start: int, stop: int) -> bytes:
        """The bytes from start up to stop of the version with that tag."""

        def get() -> bytes | None:
            answer = self._get(path, Range=f"bytes={start}-{stop - 1}")
            # Not If-Match: several compatible stores compare it with its quotes and refuse the right one.
            if answer["ETag"] != tag:
                answer["Body"].close()
                return None
            data = _body(answer)
            if len(data) != stop - start:
                raise CutShort
            return data

        data = self._call(path, get, otherwise=dict.fromkeys(GONE))
        if data is None:
            message = f"{self._where(path)}: changed while it was read; read it again"
            raise self.error(message)
        return data

    def replace(self, path: str, data: bytes) -> None:
        self._call(path, lambda: self.client.put_object(**self._at(path), Body=data))

    def put_file(self, path: str, file: Path) -> None:
        def upload() -> None:
            with file.open("rb") as data:  # in parts, several at a time
                self.client.upload_fileobj(data, **self._at(path))

        self._call(path, upload)

    def create(self, path: str, data: bytes) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        mark = uuid.uuid4().hex  # tells our object from an equal one of another writer

        def put() -> bool:
            try:
                self.client.put_object(**self._at(path), Body=data, IfNoneMatch="*", Metadata={MARK: mark})
            except (BotoCoreError, ClientError, CutShort) as cause:
                # The store may have heard us whose answer, or whose answer to an earlier try, was lost.
                if _is_refusal(cause) or not self._is_marked(path, mark):
                    raise
            return True

        return self._call(path, put, otherwise=dict.fromkeys(EXISTS, False))

    def _is_marked(self, path: str, mark: str) -> bool:
        """Whether the object is there and by that writer."""
        from botocore.exceptions import ClientError

        try:
            return self.client.head_object(**self._at(path))["Metadata"].get(MARK) == mark
        except ClientError as cause:
            if _code(cause) in MISSING:
                return False
            raise

    def delete(self, path: str) -> None:
        self._call(path, lambda: self.client.delete_object(**self._at(path)))

    def url(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{path}"

    def digest(self, found: Object) -> str:
        return found.tag

    def _at(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + path}

    def _where(self, path: str) -> str:
        return f"{self.root}/{path}".rstrip("/")

    def _get(self, path: str, **more: str) -> dict[str, Any]:
        return self.client.get_object(**self._at(path), **more)

    def _call(self, path: str, call: Callable[[], Any], otherwise: dict[str, Any] | None = None) -> Any:
        """Make a call; answers listed in `otherwise` are results, the rest are errors with a remedy."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        turns = TURNS
        while True:
            turns -= 1
            try:
                return call()
            except (BotoCoreError, ClientError, CutShort, ResponseParserError) as cause:
                code = _code(cause)
                if otherwise and code in otherwise:
                    return otherwise[code]
                if turns and (code in UNSETTLED or isinstance(cause, CutShort)):
                    continue
                message = f"{self._where(path)}: {_remedy(cause)}"
                raise self.error(message) from cause


class RangedFile(io.RawIOBase):
    """An object as a file; reads fetch ranges of it.

    Parameters
    ----------
    fetch
        Gives the bytes from a start up to a stop, all of them or an error.
    size
        Of the object, in bytes.
    ahead
        How many bytes a smaller read fetches and keeps.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, ahead: int) -> None:
        self._fetch = fetch
        self._size = size
        self._ahead = ahead
        self._position = 0
        self._kept = b""
        self._kept_from = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            message = f"there is nothing before the beginning: {start + offset}"
            raise ValueError(message)
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        if self.closed:
            message = "the file is closed"
            raise ValueError(message)
        start = self._position
        stop = self._size if size is None or size < 0 else min(start + size, self._size)
        if stop <= start:
            return b""
        if stop - start >= self._ahead:
            data = self._fetch(start, stop)
        else:
            if start < self._kept_from or stop > self._kept_from + len(self._kept):
                self._kept = self._fetch(start, min(start + self._ahead, self._size))
                self._kept_from = start
            data = self._kept[start - self._kept_from : stop - self._kept_from]
        self._position = stop
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


# --- what came back ---------------------------------------------------------------------------


def _check_length(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Refuse an answer shorter than it says; botocore takes it as it is, and an empty one for a result.

    The bodies of objects are not here yet, and what blames the moment is asked again in any case.
    """
    body, promised = response_dict["body"], response_dict["headers"].get("Content-Length")
    is_here = isinstance(body, bytes) and operation_model.http["method"] != "HEAD"
    if is_here and promised and len(body) != int(promised) and response_dict["status_code"] < 500:
        raise CutShort


def _body(answer: dict[str, Any]) -> bytes:
    """The whole body of an object; botocore does not ask again once it has begun to come."""
    from botocore.exceptions import BotoCoreError

    with contextlib.closing(answer["Body"]) as body:
        try:
            return body.read()
        except BotoCoreError as cause:
            raise CutShort from cause


def _code(cause: Exception) -> str:
    """The code of the store's answer; '' where there was none."""
    from botocore.exceptions import ClientError

    return cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""


def _is_refusal(cause: Exception) -> bool:
    """Whether the store has said no for good, for another reason than that the object is there."""
    from botocore.exceptions import ClientError

    if not isinstance(cause, ClientError) or _code(cause) in EXISTS | UNSETTLED:
        return False
    return cause.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def _remedy(cause: Exception) -> str:
    from botocore.exceptions import NoCredentialsError

    if isinstance(cause, NoCredentialsError):
        return "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(cause, CutShort):
        return f"{TURNS} answers in a row were cut short; check the network"
    if code := _code(cause):
        return REMEDIES.get(code, f"the store answered {code}; check the endpoint, or try again later")
    return f"{cause}; check the endpoint and the network"
