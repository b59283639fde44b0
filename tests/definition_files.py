"""Pieces of definition files that tests put together."""

SPACE = {"dev/space.yaml": "space: dev\nlake: file:///lakes/dev\n"}
COUNT = "event('E').count()"
SOME = "event('E').count() >= 1"
WAREHOUSE = "warehouse: {kind: warehouse, url: 'sqlite:w.db'}\n"
HOOK = "{kind: webhook, url: 'https://h.example/', secret: s}"


def prod(lake="file:///lakes/prod", **files):
    """The files of a second space, `prod`, by name and text."""
    named = {f"prod/{name}.yaml": text for name, text in files.items()}
    return {"prod/space.yaml": f"space: prod\nlake: {lake}\n", **named}
