"""Writes into the pages of destinations what follows from their adapters and fixtures: `make manual`.

A page in docs/destinations/ is written by hand but for what stands between `<!-- settings -->` and `<!-- end -->`, and
likewise `limits`, `examples` and `answers`; docs/destinations.md has a block `kinds`. A fixture is shown with the
sentence that it `shows`: among the examples where all went well, and among the answers where it has `responses`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping

from populace.definitions import GROUP_ID
from populace.destinations import ADAPTERS, HTTP
from populace.destinations.protocol import GROUP, About, Setting
from tests.contract import telling
from tests.contract.conversing import FIXTURES, settings

ROOT = FIXTURES.parent.parent
INDEX = ROOT / "docs" / "destinations.md"
FOLDER = ROOT / "docs" / "destinations"
MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADINGS = ("Settings", "What is sent", "Limits", "Answers", "To see that it works", "Not verified")
UNITS = ((1_000_000, "MB"), (1_048_576, "MiB"), (1_000, "KB"), (1_024, "KiB"), (1, "bytes"))
SPANS = ((1, "a second"), (60, "a minute"), (3_600, "an hour"), (86_400, "a day"))


def written() -> dict[str, str]:
    """The text that each page should have, by its path in docs/."""
    pages = {f"destinations/{kind}.md": filled(kind) for kind in sorted(ADAPTERS)}
    index = _filled(INDEX.read_text(encoding="utf-8"), {"kinds": kinds})
    return {INDEX.name: index, **pages}


def filled(kind: str) -> str:
    """The page of a kind with everything between its markers written anew."""
    blocks = {"settings": lambda: _settings(ADAPTERS[kind].ABOUT.settings), "limits": lambda: _limits(kind)}
    if kind in HTTP:
        blocks |= {"examples": lambda: telling.examples(kind), "answers": lambda: telling.answers(kind)}
    return _filled((FOLDER / f"{kind}.md").read_text(encoding="utf-8"), blocks)


def _filled(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    return MARKED.sub(lambda found: f"{found[1]}{blocks[found[2]]()}\n{found[3]}", text)


# --- the parts of a page ----------------------------------------------------------------------------------


def kinds() -> str:
    """All kinds of destination beside each other."""
    rows = [
        (f"[{about.title}](destinations/{kind}.md)", f"`{kind}`", names(about.forms), "yes" if reads(kind) else "")
        for kind, about in sorted((kind, each.ABOUT) for kind, each in ADAPTERS.items())
    ]
    return telling.table(("Destination", "`kind`", "Forms, the usual one first", "Can be read back"), rows)


def _settings(found: Iterable[Setting]) -> str:
    return telling.table(
        ("Setting", "What it is", "Must be there"),
        [(f"`{each.name}`", each.text, _needed(each)) for each in found],
    )


def _needed(setting: Setting) -> str:
    """
    >>> _needed(Setting("url", "", is_required=True, is_secret=True)), _needed(Setting("region", ""))
    ('yes, a secret', '')
    """
    words = [*(["yes"] if setting.is_required else []), *(["a secret"] if setting.is_secret else [])]
    return ", ".join(words)


def _limits(kind: str) -> str:
    about = ADAPTERS[kind].ABOUT
    accounts = [("Accounts go by", f"`{GROUP_ID}`, in the form `{GROUP}`")] if GROUP in about.forms else []
    people = ("People go by", _people(about))
    rows = [("Forms", names(about.forms)), people, *accounts, *(_pace(kind) if kind in HTTP else [])]
    return telling.table(("", ""), [*rows, ("Can be read back", reads(kind) or "nothing")])


def _people(about: About) -> str:
    if about.grain == "audience":
        return "nothing: it is told of audiences and traits as a whole"
    return names(about.identifies, ", else ") or "any identifier"


def _pace(kind: str) -> list[tuple[str, str]]:
    found = HTTP[kind].limits(settings(kind))
    size, most = amount(found.request_bytes), f"{found.updates:,} update{'s' * (found.updates > 1)}"
    one = amount(found.update_bytes) if found.update_bytes < found.request_bytes else size
    rates = [f"{f'`{name}` ' if name else ''}{rate(each)}" for name, each in sorted(found.rates.items())]
    lanes = f"{found.lanes}, each about other people" if found.lanes > 1 else "one"
    return [
        ("A request", f"at most {most} and {size}"),
        ("An update", f"at most {one}"),
        ("Requests", ", ".join(rates) or "at no set pace; `requests_per_second` sets one"),
        ("Requests under way", lanes),
        ("A step of a request", f"may take {found.timeout:g} seconds"),
    ]


def reads(kind: str) -> str:
    """Which forms can be read back, and by which identifiers; empty where nothing can."""
    if kind not in HTTP:
        return "everything"
    found = HTTP[kind].ABOUT.readable
    return ", ".join(f"`{form}`{' by ' + names(types, ' or ') if types else ''}" for form, types in found.items())


def names(found: Iterable[str], between: str = ", ") -> str:
    return between.join(f"`{each}`" for each in found)


def amount(size: int) -> str:
    """A number of bytes in its largest whole unit.

    >>> amount(4_000_000), amount(32 * 1024), amount(500_000), amount(8_191)
    ('4 MB', '32 KiB', '500 KB', '8,191 bytes')
    """
    unit, name = next(each for each in UNITS if size % each[0] == 0)
    return f"{size // unit:,} {name}"


def rate(a_second: float) -> str:
    """A number of requests in the shortest span in which it is whole.

    >>> rate(1_000.0), rate(250 / 60), rate(0.5), rate(7 / 3)
    ('1,000 a second', '250 a minute', '30 a minute', '140 a minute')
    """
    for seconds, span in SPANS:
        if abs(a_second * seconds - round(a_second * seconds)) < 1e-6:
            return f"{round(a_second * seconds):,} {span}"
    return f"{a_second:.3g} a second"


def main() -> None:
    for name, text in written().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{name}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main()
