"""SQL traits between two runs: ask what is due, and compute anew where an answer is another one."""

from prefect import State, flow

from flows.recompute import recompute
from flows.statements import ask_what_is_due
from tasks.edge import run_name, scheduled_start
from tasks.statements import are_answers_new


@flow(flow_run_name=run_name)
def refresh(
    space: str, deliver: bool = True, allow_stale: bool = False, definitions: str = "definitions"
) -> State | None:
    """Statements whose instant has come, and a run without a replay if the published one has other answers."""
    moment = scheduled_start()
    ask_what_is_due(space, moment, definitions)
    if not are_answers_new(space, moment, definitions):
        return None
    return recompute(
        space,
        replay_first=False,
        deliver=deliver,
        allow_stale=allow_stale,
        definitions=definitions,
        return_state=True,
    )
