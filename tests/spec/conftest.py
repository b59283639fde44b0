"""What the specifications of definitions and of identity begin with."""

import pytest

from populace import loading
from populace.errors import DefinitionError
from tests.definition_files import SPACE
from tests.graphs import Graph, calls


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
