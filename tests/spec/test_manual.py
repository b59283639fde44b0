"""The manual of the language is what the spec tests say, and every rule of the reference has one."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MANUAL = ROOT / "docs" / "language.md"
LANGUAGE = [
    each
    for each in sorted(HERE.glob("test_*.py"))
    if each.name.startswith("test_language") or "from tests.spec.evaluating import" in each.read_text(encoding="utf-8")
]
RULE = r"[a-z]\d+"

# Not here: accounts, what is decided elsewhere than in a query (A-20, T-22, T-25), batch and real time.
RULES = {
    *(f"w{number}" for number in range(1, 23)),
    *(f"x{number}" for number in range(1, 17)),
    *(f"q{number}" for number in range(1, 30)),
    *(f"a{number}" for number in (*range(10, 20), 21, 30, 31, 32, 34, 35, 36, *range(50, 56), 60, 61, 73, 74)),
    *(f"t{number}" for number in (10, 15, 19, 20, 21, 23, 24, 26)),
}


def rules_of(name):
    """The rules in the name of a test: `test_x5_to_x7_and_q3_…` has x5, x6, x7 and q3."""
    found = re.match(rf"test_({RULE}(?:_(?:and|to)_{RULE})*)_", name)
    for part in found[1].split("_and_") if found else ():
        first, last = (part.split("_to_") * 2)[:2]
        yield from (f"{first[0]}{number}" for number in range(int(first[1:]), int(last[1:]) + 1))


def named():
    """The rules of each spec test of the language that is named by one."""
    names = chain.from_iterable(re.findall(r"^def (test_\w+)\(", each.read_text("utf-8"), re.M) for each in LANGUAGE)
    return [rules for name in names if (rules := list(rules_of(name)))]


def test_the_manual_is_what_the_spec_tests_write():
    command = [sys.executable, "-m", "tests.spec.manual", "--print"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert written.returncode == 0, written.stderr
    is_same = written.stdout == MANUAL.read_text(encoding="utf-8")
    assert is_same, "docs/language.md is not what the spec tests say: run `make manual`"


def test_every_rule_has_a_spec_test():
    assert RULES - set(chain.from_iterable(named())) == set()


def test_at_least_150_spec_tests_are_named_by_their_rule():
    assert len(named()) >= 150
