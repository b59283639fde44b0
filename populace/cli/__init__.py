"""The command line: `populace COMMAND SPACE …`, one module a group of commands."""

from populace.cli.commands import main

__all__ = ["main"]
