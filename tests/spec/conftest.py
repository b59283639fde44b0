"""What the specifications of definitions, layouts, identity and parts begin with."""

import shutil
from datetime import timedelta

import pytest

from populace import loading
from populace.errors import DefinitionError
from populace.events.jsontext import JsonReader
from tests.definition_files import SPACE
from tests.graphs import Graph, calls
from tests.groups import Groups
from tests.lakes import Lake, copy
from tests.shops import Shop
from tests.slicing import NOON


@pytest.fixture
def write(tmp_path):
    """Writes definition files, by path below `definitions`, beside a good `dev/space.yaml`."""

    def written(files):
        for name, text in (SPACE | files).items():
            file = tmp_path / "definitions" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tmp_path / "definitions"

    return written


@pytest.fixture
def load(write):
    return lambda files, name="dev", **environ: loading.load(name, write(files), environ)


@pytest.fixture
def problems(write):
    """Every problem of a space, without the folder."""

    def found(files, name="dev", **environ):
        folder = write(files)
        with pytest.raises(DefinitionError) as error:
            loading.load(name, folder, environ)
        return [each.replace(f"{folder}/", "").replace("dev/", "") for each in error.value.problems]

    return found


@pytest.fixture
def graph(tmp_path):
    return lambda text, **more: Graph(tmp_path, calls(text), **more)


@pytest.fixture
def groups(tmp_path):
    """A run over calls of users and their groups."""
    return lambda text, **more: Groups(tmp_path, text, **more)


@pytest.fixture
def shop(tmp_path):
    """A space over the calls of a shop, with some statements that a database answers."""
    return lambda *sql, **more: Shop(tmp_path, sql, **more)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("prepared"))
    for position, name in enumerate("abc"):
        lake.put(name, copy(f"m{position}", name, NOON + timedelta(days=position)))
        lake.replay()
    assert lake.parts() == [["a"], ["b"], ["c"]]
    return lake.folder


@pytest.fixture
def lake(prepared, tmp_path):
    """Three parts, one a day: objects a, b and c, which hold message m0, m1 and m2."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return Lake(tmp_path)


@pytest.fixture(scope="module")
def reader():
    """Reads JSON for a whole module, for opening one costs as much as reading a small part."""
    with JsonReader() as opened:
        yield opened
