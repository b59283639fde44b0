"""An S3 server for the demo and the tests: moto over HTTP, in a process of its own.

Run as a script it is that process: it prints its port, serves, and ends when its standard input
does. So it also ends with a parent that was killed and could not end it.

moto refuses a second write under `If-None-Match: *` as S3 does, which publishing relies on. Keep to
it: `rclone serve s3` and `s3rver` accept that write, so a test against them proves nothing.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
REMEDY = "the S3 server of the demo needs moto: run `make setup`, or pip install 'moto[server]'"


class Store(NamedTuple):
    """Where the server listens, its one bucket, and the credentials it takes (it takes any)."""

    endpoint_url: str
    bucket: str
    access_key_id: str = "demo"
    secret_access_key: str = "demo-secret"
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 and polars find the store, past any proxy."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "NO_PROXY": HOST,
        }


class Unavailable(RuntimeError):
    """The server cannot be started here; the message says what to install."""


@contextmanager
def serve(bucket: str) -> Iterator[Store]:
    """A running S3 server with one empty bucket; on leaving, the server and what it held are gone."""
    process = _start()
    try:
        store = Store(f"http://{HOST}:{_port(process)}", bucket)
        client(store).create_bucket(Bucket=bucket)
        yield store
    finally:
        _end(process)


def client(store: Store) -> "S3Client":
    """A boto3 client of the store."""
    # The proxy that the environment may name cannot reach our loopback.
    direct = Config(proxies={}, retries={"max_attempts": 3}, s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=store.secret_access_key,
        region_name=store.region,
        config=direct,
    )


def _start() -> subprocess.Popen[str]:
    if importlib.util.find_spec("moto") is None:
        raise Unavailable(REMEDY)
    # A session of its own: Ctrl-C is for the parent, which then ends the server in its turn.
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def _port(process: subprocess.Popen[str]) -> int:
    """The port the child listens on; it prints it once it answers."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.isdigit():
        message = f"{REMEDY} ({line or 'the server ended at once'})"
        raise Unavailable(message)
    return int(line)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        pipe.close() if pipe else None


def _main() -> None:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        print(error, flush=True)
        return
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _main()
