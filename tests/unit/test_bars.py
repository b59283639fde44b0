"""Progress bars: what they say, and that a narrow terminal can be read."""

import io

import pytest
from rich.console import Console

from populace.cli.bars import bars
from tasks.progress import Step, report

FAR = Step("replay the_server_of_the_shop", 620, 1000, 136_843_000, 12)


def drawn(width, *steps, shown=True):
    """The lines that are left when the bars end."""
    out = io.StringIO()
    with bars(shown=shown, console=Console(file=out, width=width)):
        for step in steps:
            report(step)
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


def test_a_replay_shows_rows_their_pace_and_the_days_left():
    (line,) = drawn(120, Step("replay web", 0, 1000, 0, 60), Step("replay web", 620, 1000, 1_200_000, 1))
    assert line.startswith("replay web")
    assert " 62%  1,200,000 rows, " in line
    assert " a second, 1 day left" in line


def test_other_steps_show_what_is_done_of_what_there_is():
    lines = drawn(120, Step("sync warehouse", 3000, 7197), Step("identity", 1, 1))
    assert ["3,000/7,197" in lines[0], "1/1" in lines[1]] == [True, True]


@pytest.mark.parametrize("width", [140, 100, 80, 60, 50, 40])
def test_a_step_keeps_to_one_line_and_says_the_days_left(width):
    (line,) = drawn(width, FAR)
    assert len(line) <= width
    assert line.startswith("rep")
    assert " 62%" in line
    assert ("12 days left" if width >= 100 else "12d 136,843,000") in line


def test_nothing_is_shown_to_programs():
    assert drawn(120, FAR, shown=False) == []
