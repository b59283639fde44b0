"""Every kind of destination has a page that says what its adapter does, and whose examples load."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from populace import loading
from populace.destinations import ADAPTERS, HTTP
from tests.contract import pages
from tests.contract.conversing import settings
from tests.definition_files import SOME

IDENTIFIERS = ("user_id", "email", "anonymous_id", "phone", "braze_id", "app_id", "ios.idfa", "android.idfa")
OUTPUTS = re.compile(r"^\s*destinations:\s*([\[{].*[\]}])", re.MULTILINE)
SPACE = "space: dev\nlake: file:///lakes/dev\n"

every_kind = pytest.mark.parametrize("kind", sorted(ADAPTERS))


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return pages.written()


def text(kind: str) -> str:
    return (pages.FOLDER / f"{kind}.md").read_text(encoding="utf-8")


def headings(kind: str, level: str = "##") -> list[str]:
    outside = re.sub(r"^```.*?^```$", "", text(kind), flags=re.DOTALL | re.MULTILINE)
    return re.findall(rf"^{level} (.+)$", outside, re.MULTILINE)


def test_every_page_is_of_a_kind():
    assert {each.stem for each in pages.FOLDER.glob("*.md")} == set(ADAPTERS)


@pytest.mark.parametrize("name", ["destinations.md", *(f"destinations/{kind}.md" for kind in sorted(ADAPTERS))])
def test_a_page_is_what_the_adapter_and_its_fixtures_write(name: str, written: dict[str, str]):
    is_same = (pages.ROOT / "docs" / name).read_text(encoding="utf-8") == written[name]
    assert is_same, f"docs/{name} is not what the code says: run `make manual`"


@every_kind
def test_a_page_has_the_parts_that_are_written(kind: str):
    blocks = {"settings", "examples", "limits", "answers"} if kind in HTTP else {"settings"}
    marked = [each[2] for each in pages.MARKED.finditer(text(kind))]
    assert set(marked) >= blocks
    assert len(marked) == len(set(marked)) == text(kind).count("<!-- end -->")


@every_kind
def test_a_page_has_the_headings_of_all_pages(kind: str):
    assert len(headings(kind, "#")) == 1
    expected = list(pages.HEADINGS) if kind in HTTP else ["Settings"]
    assert [each for each in headings(kind) if each in expected] == expected


@pytest.mark.parametrize("kind", sorted(HTTP))
def test_every_form_has_an_example(kind: str, written: dict[str, str]):
    shown = set(re.findall(r", as (\w+):", written[f"destinations/{kind}.md"]))
    assert shown == set(ADAPTERS[kind].ABOUT.forms)


@pytest.mark.parametrize("kind", sorted(HTTP))
def test_no_page_holds_a_secret(kind: str):
    about = ADAPTERS[kind].ABOUT
    assert [name for name, value in settings(kind).items() if name in about.secret and value in text(kind)] == []


# --- what people copy from there ----------------------------------------------------------------------


@every_kind
def test_the_yaml_of_a_page_loads(kind: str, tmp_path: Path):
    entries, outputs = shown_entries(kind), list(shown_outputs(kind))
    assert kind in {each["kind"] for each in entries.values()}
    listed = [key for each in entries.values() for key in each.get("lists", ())]
    keys = [*listed, *(f"example_{at}" for at in range(len(listed), len(outputs)))]
    audiences = {key: about(each) for key, each in zip(keys, outputs, strict=True)}
    files = {"space": SPACE, "destinations": yaml.safe_dump(entries), "audiences": yaml.safe_dump(audiences)}
    files["identity"] = yaml.safe_dump({"identifiers": {each: {} for each in IDENTIFIERS}})
    (tmp_path / "dev").mkdir()
    for name, each in files.items():
        (tmp_path / "dev" / f"{name}.yaml").write_text(each, encoding="utf-8")
    found = loading.load("dev", tmp_path, {})
    assert {each.name for each in found.destinations} == set(entries)
    assert len(found.audiences) == len(outputs)


def about(outputs: list[Any]) -> dict[str, Any]:
    """An audience that is delivered so: of accounts where the form tells of these."""
    if "group" in _forms(outputs, ""):
        return {"level": "account", "query": f"ANY {SOME}", "destinations": outputs}
    return {"query": SOME, "destinations": outputs}


@pytest.mark.parametrize("kind", sorted(HTTP))
def test_each_form_is_asked_for_on_its_page(kind: str):
    forms = ADAPTERS[kind].ABOUT.forms
    asked = {form for each in shown_outputs(kind) for form in _forms(each, forms[0])}
    assert asked == set(forms)


def shown_yaml(kind: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text(kind), re.DOTALL | re.MULTILINE)


def shown_entries(kind: str) -> dict[str, Any]:
    """All entries of destinations.yaml on a page, by name."""
    parsed = [yaml.safe_load(each) for each in shown_yaml(kind) if re.search(r"\bkind:", each)]
    return {name: each for one in parsed for name, each in one.items() if isinstance(each, dict) and "kind" in each}


def shown_outputs(kind: str) -> Iterator[Any]:
    """What stands behind each `destinations:` on a page, which is a list on the same line."""
    for each in shown_yaml(kind):
        yield from map(yaml.safe_load, OUTPUTS.findall(each))


def _forms(outputs: Any, usual: str) -> Iterator[str]:
    for each in outputs:
        yield from each.values() if isinstance(each, dict) else [usual]


def test_pages_link_to_what_is_there():
    for page in [
        pages.INDEX,
        *pages.FOLDER.glob("*.md"),
        *(pages.ROOT / "docs").glob("*.md"),
        pages.ROOT / "README.md",
    ]:
        for target in re.findall(r"\]\((?!http)([^)#\s]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
