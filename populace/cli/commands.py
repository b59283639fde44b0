"""The door to all commands, and what they share: options, errors, exit codes."""

import sys
from typing import Any

import click

from populace import __version__
from populace.cli import demo, destinations, identity, quarantine, reading, running, sources
from populace.errors import PopulaceError

COMMANDS = (
    demo.demo, demo.ui,
    running.replay, running.recompute, running.backfill, running.sync,
    destinations.verify, destinations.letters, destinations.pause, destinations.resume,
    reading.check, reading.status, reading.show, reading.members, reading.preview,
    quarantine.quarantine, sources.sources, identity.identity,
)  # fmt: skip


class _Group(click.Group):
    """Turns the errors a user can act on into one message and the exit code they mean."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except PopulaceError as error:
            click.echo(f"error: {error}" if error.exit_code == 1 else str(error), err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="populace")
def main() -> None:
    """Profiles, traits and audiences from your event archive, kept equal in every destination."""


for _command in COMMANDS:
    main.add_command(_command)
