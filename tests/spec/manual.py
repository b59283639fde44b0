"""Writes docs/language.md from the spec tests of the language: `make manual`.

A spec test is shown there if its docstring begins with one of `CHAPTERS`, `"Windows: both ends belong to a window."`,
and its name with its rule, `test_t26_…`. The docstring is what the manual says, and what the test asks through
`tests.spec.evaluating`, in this very run, with the answers it gets, are the examples: all of them, so such a test asks
little and in words that people use. One that begins with an ellipsis, `"Windows: …A second earlier does not."`, goes
on with the rule before it. Within a chapter the vectors of the reference (`test_w1_…`) come first, then files by name.
A module joins by importing from there; it stands in no list.
"""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.spec import evaluating, showing

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "language.md"
DOORS = ("trait_values", "members", "members_of", "refusal", "as_read")
CHAPTERS = {
    "Events": "What a definition looks at: the events of one name, and which of them.",
    "Counting and adding": "",
    "Least and greatest": "",
    "First and last": "",
    "Distinct values": "",
    "Windows": "A window ends now.",
    "Sessions": "",
    "Conditions": "",
    "Comparing": "",
    "Parts of text": "",
    "Missing values": "",
    "Types": "",
    "Dates": "",
    "Lists": "",
    "Funnels": (
        "An event inside `where` is compared with the event around it, its parent, and with each parent on its own."
    ),
    "Traits and audiences": "",
    "Who can be a member": "",
    "Ways to write it": "",
    "What is refused": (
        "`populace check` tells the file and the line as well, and what else is wrong; the column is that of the query."
    ),
}


@dataclass
class Rule:
    """One test that is shown: what it states, and what it asked."""

    numbers: str
    chapter: str
    sentence: str
    asked: list[showing.Asked] = field(default_factory=list)


class Recorder:
    """A plugin of pytest that runs the tests that are shown, and no others, and keeps what each of them asks."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.asked: list[showing.Asked] = []
        self.is_asking = False
        for door in DOORS:
            setattr(evaluating, door, self._recorded(door, getattr(evaluating, door)))

    def _recorded(self, door: str, call: Callable) -> Callable:
        signature = inspect.signature(call)

        @functools.wraps(call)
        def recorded(*given: Any, **named: Any) -> Any:
            if self.is_asking:  # one of these calls another
                return call(*given, **named)
            self.is_asking = True
            try:
                answer = call(*given, **named)
            finally:
                self.is_asking = False
            bound = signature.bind(*given, **named)
            bound.apply_defaults()
            self.asked.append(showing.Asked(door, bound.arguments, answer))
            return answer

        return recorded

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [each for each in items if isinstance(each, pytest.Function) and chapter(each.function)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Iterator[None]:
        key = item.nodeid.partition("[")[0]  # all cases of a test are one rule
        self.asked = self.rules.setdefault(key, rule(item.function)).asked
        return (yield)


def chapter(test: Callable) -> str | None:
    """The chapter in which a test is shown, if it is."""
    found = re.match(r"([A-Z][a-z ]+): ", inspect.getdoc(test) or "")
    if found and found[1] not in CHAPTERS:
        message = f"{test.__name__}: the manual has no chapter '{found[1]}'; there is {', '.join(CHAPTERS)}"
        raise ValueError(message)
    return found and found[1]


def rule(test: Callable) -> Rule:
    """What the name and the docstring of a test say."""
    named, text = inspect.getdoc(test).partition(": ")[::2]
    return Rule(numbers(test.__name__), named, re.sub(r"\s+", " ", text))


def numbers(name: str) -> str:
    """The rules that a test is named by.

    >>> numbers("test_w11_and_q20_missing_is_not_different"), numbers("test_x1_to_x3_are_refused"), numbers("test_it")
    ('W11, Q-20', 'X1 to X3', '')
    """
    found = re.match(r"test_([a-z]\d+(?:_(?:and|to)_[a-z]\d+)*)_", name)
    text = found[1].replace("_and_", ", ").replace("_to_", " to ") if found else ""
    return re.sub(r"([a-z])(?=\d)", lambda each: each[1].upper() + "-" * (each[1] not in "wxdn"), text)


def modules() -> list[Path]:
    """The spec tests that ask the engine in the language."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    return [each for each in files if "from tests.spec.evaluating import" in each.read_text(encoding="utf-8")]


def shown() -> list[Rule]:
    """The rules of all tests that are shown, in the order of files and lines, after running them."""
    recorder, said = Recorder(), StringIO()
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:doctest", "-o", "addopts=--import-mode=importlib"]
    with redirect_stdout(said):
        code = pytest.main([*options, *map(str, modules())], [recorder])
    if code:
        raise SystemExit(f"the spec tests fail:\n{said.getvalue()}")
    found = list(recorder.rules.values())
    nameless = [each.sentence for each in found if not each.numbers]
    if nameless:
        raise SystemExit(f"name the test by its rule, such as test_t26_…: {nameless}")
    return found


def chapters() -> dict[str, list[Rule]]:
    """The rules of each chapter, those that go on with another as part of it."""
    found: dict[str, list[Rule]] = {name: [] for name in CHAPTERS}
    for each in shown():
        of_chapter = found[each.chapter]
        if not each.sentence.startswith("…"):
            of_chapter.append(each)
        elif of_chapter:
            of_chapter[-1] = _joined(of_chapter[-1], each)
        else:
            raise SystemExit(f"{each.numbers}: there is no rule in {each.chapter!r} to go on with")
    return {name: sorted(rules, key=lambda each: each.numbers[0] != "W") for name, rules in found.items() if rules}


def _joined(one: Rule, other: Rule) -> Rule:
    both = list(dict.fromkeys([*one.numbers.split(", "), *other.numbers.split(", ")]))
    sentence = f"{one.sentence} {other.sentence.removeprefix('…')}".strip()
    return Rule(", ".join(both), one.chapter, sentence, [*one.asked, *other.asked])


def manual() -> str:
    """The whole text of docs/language.md."""
    found = chapters()
    parts = [showing.head(found)]
    for name, rules in found.items():
        parts += [f"## {name}", *([CHAPTERS[name]] if CHAPTERS[name] else [])]
        parts += [showing.rule(each.sentence, each.numbers, each.asked) for each in rules]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    os.chdir(ROOT)
    text = manual()
    if "--print" in sys.argv:
        sys.stdout.write(text)
        return
    MANUAL.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{MANUAL.relative_to(ROOT)}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main()
