"""What a definition would give over the current run's profiles; nothing is written."""

from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from populace import audiences, query, traits
from populace.definitions import Audience, Family, Level, Space, Trait
from populace.errors import UsageError
from populace.lake import runs
from populace.loading import computed, levels
from populace.nodes import references
from populace.space import families, people, recompute, undated, unknown, views
from populace.space.everybody import Everybody, members_of, reduced, traits_of
from populace.space.opening import OpenSpace
from populace.space.people import People

SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Preview:
    """What a definition gives: how many profiles, some of them, and how.

    `of` says whether people are counted (profiles), or accounts. `traits` are those of a family, each with the value
    that names it and how many profiles have it. `unknown` says what it reads that nobody has seen, `undated` what is
    compared with dates and is none.
    """

    run_id: str
    count: int
    sample: list[dict[str, Any]]
    explanation: dict[str, list[str]]
    traits: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    undated: list[dict[str, Any]] = field(default_factory=list)
    of: str = "profiles"


def preview(space: OpenSpace, key: str | None = None, text: str | None = None, level: Level = "user") -> Preview:
    """Compute a definition without writing anything.

    Parameters
    ----------
    key
        A trait, family or audience of the space, or a trait of a family in the current run.
    text
        A query instead, of a trait or an audience.
    level
        Whom such a query is about.

    Raises
    ------
    UsageError
        If there is no run or no such definition, or if the query cannot be understood or computed.
    """
    run = recompute.reopen(space, views.current(space), strict=False)
    known = families.of_run(space, run.run_id)
    definition = recompute.named(known, key) if key else _definition(text or "", level, known.definition)
    found = _family(space, run, definition) if isinstance(definition, Family) else _single(known, run, definition)
    asked = [definition.query] + ([traits.naming(definition)] if isinstance(definition, Family) else [])
    told = dict.fromkeys(sentence for each in asked for sentence in unknown.told(known, run, each))
    level = "user" if isinstance(definition, Family) else definition.level
    return replace(found, unknown=list(told), of="accounts" if level == "account" else "profiles")


def _single(space: OpenSpace, run: recompute.Run, definition: Trait | Audience) -> Preview:
    return _trait(space, run, definition) if isinstance(definition, Trait) else _audience(space, run, definition)


def _definition(text: str, level: Level, space: Space) -> Trait | Audience:
    found = _parsed(text, level)
    reasons = [query.not_computed(found.query), *levels.problems(found, space)]
    for reason in filter(None, reasons):
        message = f"query: line 1, column 1: {reason}"
        raise UsageError(message)
    return found


def _parsed(text: str, level: Level) -> Trait | Audience:
    """A query as a trait or, where it is true or false, as an audience."""
    viewpoint = computed.VIEWPOINTS[level]
    try:
        return Trait("preview", query.parse_trait(text, viewpoint), level=level)
    except query.QueryError as as_trait:
        try:
            return Audience("preview", query.parse_audience(text, viewpoint), level=level)
        except query.QueryError as as_audience:
            problem = _likelier(text, as_trait, as_audience)
            message = f"query: line {problem.line}, column {problem.column}: {problem}"
            raise UsageError(message) from None


def _likelier(text: str, as_trait: query.QueryError, as_audience: query.QueryError) -> query.QueryError:
    """The error of what was meant: an audience, where people could have it, or else the one that comes later."""
    try:
        query.parse_audience(text)
    except query.QueryError:
        return max(as_trait, as_audience, key=lambda each: (each.line, each.column))
    return as_audience


def _trait(space: OpenSpace, run: recompute.Run, trait: Trait) -> Preview:
    asked = undated.asked([trait])
    everybody = Everybody.of_run(space, run.run_id)
    values = reduced(space, run.entries, everybody, [trait], run.as_of, undated.counts(asked)).of_profiles
    found = everybody.by_id(traits_of(values, everybody, [trait])).select("profile_id", trait.key)
    present = found.drop_nulls().sort("profile_id")
    sample = _named(everybody, present.head(SAMPLE).rename({trait.key: "value"}))
    none = undated.counted(asked, values, pl.DataFrame(schema=["audience"])).rows(named=True)
    return Preview(run.run_id, present.height, sample, traits.explain([trait.query]), undated=none)


def _family(space: OpenSpace, run: recompute.Run, family: Family) -> Preview:
    population = People.of_run(space, run.run_id)
    alone = replace(space, definition=replace(space.definition, families=(family,)))
    expanded, members = families.expand(alone, run.entries, population, run.as_of)
    made = [each for each in expanded.definition.traits if each.key in set(members.get_column("key"))]
    queries = [each.query for each in made]
    values = people.reduced(expanded, run.entries, population, queries, run.as_of)
    found = traits.compute(values, made).join(people.numbered(population.profiles), on="profile").drop("profile")
    counts = found.select(pl.exclude("profile_id").count()).row(0, named=True) if made else {}
    listed = [each | {"profiles": counts[each["key"]]} for each in members.drop("family").rows(named=True)]
    sample = found.sort("profile_id").head(SAMPLE).rows(named=True)
    return Preview(run.run_id, found.height, sample, traits.explain(queries), listed)


def _audience(space: OpenSpace, run: recompute.Run, audience: Audience) -> Preview:
    asked = undated.asked([audience])
    others = [each for each in space.definition.audiences if each.key != audience.key]
    wanted = (*audiences.needed({audience.key}, [*others, audience]), *undated.audiences(asked))
    everybody = Everybody.of_run(space, run.run_id)
    definitions: list[Trait | Audience] = [*wanted, *_read(space, wanted)]
    values = reduced(space, run.entries, everybody, definitions, run.as_of, undated.counts(asked))
    known = everybody.by_number(runs.table(space.lake, run.run_id, "traits"))
    members = members_of(space, everybody, wanted, values, known, run.as_of)
    found = members.filter(pl.col("audience") == audience.key)
    sample = _named(everybody, found.select("profile_id").head(SAMPLE))
    none = undated.counted(asked, values.of_profiles, members).rows(named=True)
    return Preview(run.run_id, found.height, sample, traits.explain([audience.query]), undated=none)


def _named(everybody: Everybody, sample: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of a sample; of accounts with the name of each, which is nobody's secret."""
    names = everybody.accounts.profiles.select("profile_id", group_id="group")
    found = sample.join(names, on="profile_id", how="left", maintain_order="left").rows(named=True)
    return [{name: each for name, each in row.items() if name != "group_id" or each is not None} for row in found]


def _read(space: OpenSpace, wanted: tuple[Audience, ...]) -> list[Trait]:
    """The traits that some audiences refer to."""
    keys = {key for each in wanted for key in references(each.query)}
    return [each for each in space.definition.traits if each.key in keys]
