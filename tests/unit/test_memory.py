"""How memory is kept: said to polars before it is imported, and left as it is where somebody has said it already."""

import os
import subprocess
import sys

import pytest

from populace.events.jsontext import JsonReader

NAME = "_RJEM_MALLOC_CONF"


@pytest.mark.parametrize("own", [None, "narenas:1"])
def test_polars_is_told_to_keep_its_memory_unless_it_was_told_something_else(own):
    environment = {name: value for name, value in os.environ.items() if name != NAME} | ({NAME: own} if own else {})
    command = [sys.executable, "-c", f"import os, populace; print(os.environ['{NAME}'])"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert told == own if own else "dirty_decay_ms" in told


def test_duckdb_draws_no_progress_bar_into_ours():
    with JsonReader() as json:
        assert json.connection.sql("select current_setting('enable_progress_bar')").fetchall() == [(False,)]
