"""The examples of docs/destinations/object_storage.md, run on files that a sync wrote."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from populace.definitions import Destination
from populace.destinations import problems
from tests.companies import ROOT
from tests.deliveries import open_space, publish, send

TEXT = (ROOT / "docs/destinations/object_storage.md").read_text()
PLANS = {"p1": "gold", "p2": "", "p3": 'a "quoted"\n=1'}


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def written(folder: Path, **settings: str) -> None:
    space = open_space(
        folder / "lake", Destination("files", "object_storage", tuple(settings.items())), "plan", "buyers"
    )
    publish(space, 1, {"profile_id": [*PLANS], "plan": [*PLANS.values()]}, {"buyers": ["p1", "p3"]})
    assert send(space)["status"] == "success"


def run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example, "docs/destinations/object_storage.md", "exec"), names)
    return names


def test_polars_reads_a_folder(tmp_path: Path):
    written(tmp_path, url=f"file://{tmp_path}/out")
    example, _ = examples("python")
    names = run(example.replace("/data/populace/prod", f"{tmp_path}/out/dev"))
    assert dict(names["plans"].select("id_value", "value").rows()) == PLANS
    # A join promises no order.
    assert dict(names["buyers"].select("id_value", "value").rows()) == {"p1": "gold", "p3": PLANS["p3"]}


def test_polars_reads_s3(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path, url=f"s3://{s3.bucket}/populace", endpoint_url=s3.endpoint)
    for name, value in {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    _, example = examples("python")
    names = run(example.replace('"bucket", "populace/prod"', f'"{s3.bucket}", "populace/dev"'))
    assert dict(names["plans"].select("id_value", "value").rows()) == PLANS


def test_duckdb_reads_a_folder(tmp_path: Path):
    written(tmp_path, url=f"file://{tmp_path}/out")
    (example,) = examples("sql")
    with duckdb.connect() as connection:
        rows = connection.execute(example.replace("/data/populace/prod", f"{tmp_path}/out/dev")).fetchall()
    assert rows == [("", 1), ('a "quoted"\n=1', 1), ("gold", 1)]


def test_duckdb_reads_csv(tmp_path: Path):
    written(tmp_path, url=f"file://{tmp_path}/out", format="csv")
    (example,) = examples("sql")
    (read,) = re.findall(r"`(read_csv\(.*?\))`", TEXT)
    with duckdb.connect() as connection:
        named = example.replace("read_parquet(getvariable('plan'))", read)
        rows = connection.execute(named.replace("/data/populace/prod", f"{tmp_path}/out/dev")).fetchall()
    assert rows == [("", 1), ('a "quoted"\n=1', 1), ("gold", 1)]


def test_the_settings_shown_are_the_settings_there_are():
    (example,) = examples("yaml")
    settings = dict(re.findall(r"^  (\w+): +(\S+)", example, re.MULTILINE))
    kind = settings.pop("kind")
    assert problems(kind, settings) == []
    assert sorted(settings) == sorted(
        ["url", "format", "endpoint_url", "region", "access_key_id", "secret_access_key", "keep_changes"]
    )
