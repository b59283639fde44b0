"""The examples of docs/definitions.md, with the counts that stand beside them, on the data of `make demo`."""

import re
from pathlib import Path

import pytest

from populace.cli.demo import AS_OF, EVENTS
from populace.space import previews
from tests.demos import Demo

MANUAL = Path(__file__).parents[2] / "docs" / "definitions.md"
EXAMPLES = re.findall(r"^\| `(.+)` \| ([\d,]+) \|", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return Demo(tmp_path_factory.mktemp("demo"), AS_OF, EVENTS)


def test_there_are_examples():
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize(("text", "count"), EXAMPLES)
def test_an_example_counts_what_the_manual_says(demo, text, count):
    assert f"{previews.preview(demo.space, text=text).count:,}" == count
