"""The nightly chain: replay, identity, traits, audiences, publish, sync."""

from datetime import datetime

from prefect import State, flow

from flows.replay import replay
from flows.statements import ask_what_is_due
from flows.sync_destinations import sync_destinations
from tasks.compute import compute_traits, evaluate_audiences, plan_run, publish_run, resolve_identities
from tasks.edge import run_name, scheduled_start
from tasks.starting import require
from tasks.statements import add_sql_traits


@flow(flow_run_name=run_name)
def recompute(
    space: str,
    as_of: datetime | None = None,
    replay_first: bool = True,
    deliver: bool = True,
    allow_stale: bool = False,
    definitions: str = "definitions",
) -> State | None:
    """Every profile, trait and audience as of one instant, published and delivered."""
    moment = as_of or scheduled_start()
    if replay_first:
        replayed = replay(space, as_of=moment, definitions=definitions, return_state=True)
        if not allow_stale:
            require(replayed)
    ask_what_is_due(space, moment, definitions)
    run_id = plan_run(space, moment, definitions, allow_stale=allow_stale)
    resolve_identities(space, run_id, definitions)
    compute_traits(space, run_id, definitions)
    add_sql_traits(space, run_id, definitions)
    evaluate_audiences(space, run_id, definitions)
    publish_run(space, run_id, definitions, is_latest=as_of is None)
    return sync_destinations(space, definitions=definitions, return_state=True) if deliver else None
