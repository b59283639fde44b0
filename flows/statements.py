"""Ask databases what the statements of SQL traits are due."""

from datetime import datetime

from tasks.statements import ask_database, due


def ask_what_is_due(space: str, as_of: datetime, definitions: str) -> None:
    """Every statement is asked before the first failure is raised, so that one in error costs the others nothing."""
    asked = [ask_database.submit(space, key, as_of, definitions) for key in due(space, as_of, definitions)]
    for future in asked:
        future.wait()
    for future in asked:
        future.result()
