"""Runs as of past instants, for history; nothing is published or sent."""

from datetime import UTC, date, datetime, time

from prefect import flow

from tasks.compute import complete_run, compute_traits, evaluate_audiences, plan_run, resolve_identities
from tasks.edge import instants, length, run_name
from tasks.statements import add_sql_traits


@flow(flow_run_name=run_name)
def backfill(space: str, since: date, until: date, every: str = "1d", definitions: str = "definitions") -> list[str]:
    """One run for each instant from `since` to `until`, both at midnight UTC and included."""
    first, last = (datetime.combine(day, time(), UTC) for day in (since, until))
    run_ids = []
    for moment in instants(first, last, length(every)):
        run_id = plan_run(space, moment, definitions)
        resolve_identities(space, run_id, definitions)
        compute_traits(space, run_id, definitions)
        add_sql_traits(space, run_id, definitions, keep=False)
        evaluate_audiences(space, run_id, definitions)
        complete_run(space, run_id, definitions)
        run_ids.append(run_id)
    return run_ids
