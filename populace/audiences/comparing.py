"""Who entered and who left between two runs."""

import polars as pl


def changes(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Who entered and who left since another run.

    Parameters
    ----------
    now, before
        One row per member: (audience: str, profile_id: str). Profile ids of both runs mean the same people:
        ids that merged are resolved before.

    Returns
    -------
    One row per change: (audience, profile_id, change), sorted; change is `entered` or `exited`. An audience
    that only one of the runs has is all entered, or all exited.
    """
    key = ["audience", "profile_id"]
    entered = now.join(before, on=key, how="anti").select(*key, change=pl.lit("entered"))
    exited = before.join(now, on=key, how="anti").select(*key, change=pl.lit("exited"))
    return pl.concat([entered, exited]).sort(key)
