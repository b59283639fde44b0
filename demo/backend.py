"""What happens behind the pages: the calls of the shop's server, and of the feature-flag tool."""

import numpy as np
import polars as pl

from demo import catalogue, visits
from demo.people import World
from demo.rhythm import DAY, Day, Span

SERVER_SHARE, SPLIT_SHARE = 0.12, 0.2  # of all events
PRICES = {"free": 0, "plus": 990, "pro": 2900}  # cents a month

# Events of the server that no order brings about: how often, and their properties.
ROUTINE = {
    "Mail Sent": (0.34, '"campaign":"letter-{}","subject":"What is new this week"'),
    "Mail Opened": (0.2, '"campaign":"letter-{}","client":"web"'),
    "Points Earned": (0.26, '"points":{},"reason":"visit"'),
    "Stock Alert Sent": (0.1, '"product_id":"p{}"'),
    "Support Ticket Opened": (0.1, '"ticket":{},"topic":"delivery"'),
}
# The share of impressions that come from the other environment, and from SDKs that were not ready.
STAGING, NOT_READY = 0.08, 0.005
FIRST_CHANGE = 1_500_000_000_000


def server_calls(span: Span, world: World, day: Day, steps: pl.DataFrame) -> pl.DataFrame:
    """The server's calls about a day; some of them, such as shipping, happen on a later one.

    `steps` are the day's steps in the pages: an order of somebody known is paid for here. Columns
    as those of `visits.calls`. There is no anonymous_id: a server knows its customers.
    """
    rng = span.rng("server", day.ordinal)
    known = pl.concat([_order_calls(rng, steps), _sign_up_calls(world, day)])
    budget = round(span.events * SERVER_SHARE * span.share(day)) - known.height
    routine = _routine_calls(span, rng, world, day, max(0, budget))
    return _addressed(pl.concat([known, routine]), world)


def split_calls(span: Span, world: World, day: Day) -> pl.DataFrame:
    """The impressions of a day, one row per flag that a person was asked about; columns as above."""
    rng = span.rng("split", day.ordinal)
    person = _customers(rng, world, day, round(span.events * SPLIT_SHARE * span.share(day)))
    count = len(person)
    flag = rng.choice(len(catalogue.FLAGS), count, p=[0.3, 0.2, 0.2, 0.15, 0.1, 0.05])
    impressions = _evaluated(rng, day, person, flag).with_columns(
        timestamp=pl.Series(span.instants(rng, count, day)),
        host=pl.Series(rng.integers(1, 9, count)),
        user_id=world.persons["user_id"].gather(person),
    )
    return impressions.select(
        type=pl.lit("track"),
        event=pl.lit("get_treatment"),
        user_id="user_id",
        anonymous_id=_absent(),
        group_id=_absent(),
        timestamp="timestamp",
        context=_split_context(),
        properties=_impression(),
        traits=_absent(),
    )


def _absent() -> pl.Expr:
    return pl.lit(None, dtype=pl.String)


def _customers(rng: np.random.Generator, world: World, day: Day, count: int) -> np.ndarray:
    """Numbers of people who were customers when the day began, the active ones more often."""
    customers = np.flatnonzero(world.persons["customer_at"].to_numpy() < day.low)
    return customers[visits.weighted(rng, world.persons["activity"].to_numpy()[customers], count)]


def _call(event: pl.Expr | str, properties: pl.Expr, **more: pl.Expr) -> list[pl.Expr]:
    """A track call of the server, unless `more` says otherwise; properties are without their braces."""
    call = {"type": pl.lit("track"), "event": pl.lit(event) if isinstance(event, str) else event}
    call |= {"group_id": _absent(), "timestamp": pl.col("timestamp"), "properties": properties}
    call |= {"traits": _absent()} | more
    return [pl.col("person"), *(expression.alias(name) for name, expression in call.items())]


def _order_calls(rng: np.random.Generator, steps: pl.DataFrame) -> pl.DataFrame:
    orders = steps.filter((pl.col("step") == visits.ORDER) & pl.col("is_known"))
    waits = pl.Series(rng.integers(DAY, 2 * DAY, orders.height))
    order, total, at = pl.format('"order_id":"o{}"', "order"), pl.col("cents") / 100, pl.col("timestamp")
    paid = pl.format('{},"total":{},"currency":"EUR","payment":{{"method":"card","parts":1}}', order, total)
    shipped = pl.format('{},"carrier":"post.example","parcels":{}', order, "items")
    refunded = pl.format('{},"amount":{},"reason":"damaged"', order, total)
    returned = orders.with_columns(wait=2 * waits).filter(pl.col("order") % 23 == 0)
    return pl.concat(
        [
            orders.select(_call("Order Paid", paid, timestamp=at + 2000)),
            orders.select(_call("Order Shipped", shipped, timestamp=at + waits)),
            returned.select(_call("Order Refunded", refunded, timestamp=at + pl.col("wait"))),
        ]
    )


def _sign_up_calls(world: World, day: Day) -> pl.DataFrame:
    """A subscription and its plan for those who pay, an account for those who come from a company."""
    joined = world.persons.with_row_index("person").with_columns(pl.col("person").cast(pl.Int64))
    joined = joined.filter("has_signed_up", pl.col("customer_at").is_between(day.low, day.high, closed="left"))
    joined = joined.with_columns(timestamp=pl.col("customer_at") + 60_000)
    amount = pl.col("plan").replace_strict(PRICES, return_dtype=pl.Int64) / 100
    plan, company = pl.format('"plan":"{}"', "plan"), pl.col("company")
    started = pl.format('{},"amount":{},"currency":"EUR","interval":"month"', plan, amount)
    account = pl.format('{{"name":"Company {}","employees":{}}}', company, company.str.slice(1).cast(pl.Int64) % 90 + 5)
    paying, of_company = joined.filter(pl.col("plan") != "free"), joined.filter(company.is_not_null())
    plan_only = {"type": pl.lit("identify"), "traits": pl.format("{{{}}}", plan)}
    grouping = {"type": pl.lit("group"), "group_id": company, "traits": account}
    return pl.concat(
        [
            paying.select(_call("Subscription Started", started)),
            paying.select(_call(_absent(), _absent(), **plan_only)),
            of_company.select(_call(_absent(), _absent(), **grouping)),
        ]
    )


def _routine_calls(span: Span, rng: np.random.Generator, world: World, day: Day, count: int) -> pl.DataFrame:
    shares = [share for share, _ in ROUTINE.values()]
    drawn = pl.DataFrame(
        {
            "person": _customers(rng, world, day, count),
            "timestamp": span.instants(rng, count, day),
            "event": pl.Series(list(ROUTINE)).gather(rng.choice(len(ROUTINE), count, p=shares)),
            "number": rng.integers(100, 172, count),
        }
    )
    parts = [
        drawn.filter(pl.col("event") == event).select(_call(event, pl.format(properties, "number")))
        for event, (_, properties) in ROUTINE.items()
    ]
    return pl.concat(parts)


def _addressed(calls: pl.DataFrame, world: World) -> pl.DataFrame:
    """Say on each call whose it is, the way the server's own code does: in three places."""
    calls = calls.with_columns(
        world.persons[name].gather(calls["person"]) for name in ("user_id", "email", "customer_number")
    )
    properties = pl.format('{{"customer_number":"{}",{}}}', "customer_number", "properties")
    context = pl.format(
        '{{"library":{{"name":"shop-server","version":"6.3.0"}},"app":{{"name":"backend","version":"2026.38.{}",'
        '"build":"{}","namespace":"com.example.shop"}},"channel":"server","locale":"en-GB","timezone":"UTC",'
        '"os":{{"name":"Server OS","version":"12.7"}},"network":{{"carrier":"Example Transit","zone":"eu-north-{}"}},'
        '"traits":{{"email":"{}"}},"request":{{"id":"r{}","path":"/internal/events/v2/publish","attempt":1}}}}',
        pl.col("person") % 9,
        pl.col("person") % 9 + 4400,
        pl.col("person") % 3,
        "email",
        pl.col("timestamp") * 31 + pl.col("person"),
    )
    return calls.select(
        "type", "event", "user_id", _absent().alias("anonymous_id"), "group_id", "timestamp",
        context.alias("context"), properties.alias("properties"), "traits",
    )  # fmt: skip


def _evaluated(rng: np.random.Generator, day: Day, person: np.ndarray, flag: np.ndarray) -> pl.DataFrame:
    """What each person was told about a flag: the same treatment until the flag's next phase."""
    phases = [_phase(name, day) for name in catalogue.FLAGS]
    luck = rng.random(len(person))
    is_staging = luck < STAGING
    # Buckets are cut otherwise in staging, so that a trait that mixes the environments is seen to be wrong.
    bucket = (person * 7919 + flag * 31 + 50 * is_staging) % 100
    told = pl.concat([_by_bucket(phase) for phase in phases]).gather(flag * 100 + bucket)
    is_listed = (person * 31 + flag) % 97 == 0
    table = pl.DataFrame({"flag": flag, "told": told, "listed": is_listed, "staging": is_staging})
    table = table.with_columns(
        whitelisted=pl.lit("whitelisted"),
        rule=pl.lit(pl.Series([phase.label for phase in phases])).gather("flag"),
        tested=pl.lit(pl.Series([next(iter(known[0].shares)) for known in catalogue.FLAGS.values()])).gather("flag"),
        split=pl.lit(pl.Series(list(catalogue.FLAGS))).gather("flag"),
        change=pl.lit(pl.Series([_change_number(*numbered) for numbered in enumerate(phases)])).gather("flag"),
        ready=pl.Series(luck < 1 - NOT_READY),
    )
    return table.with_columns(
        treatment=_told("tested", "told", "control"), label=_told("whitelisted", "rule", "not ready")
    )


def _phase(name: str, day: Day) -> catalogue.Phase:
    return [phase for phase in catalogue.FLAGS[name] if phase.since <= day.ordinal][-1]


def _by_bucket(phase: catalogue.Phase) -> pl.Series:
    """The treatments of a phase, one for each hundredth of the people."""
    counts = [(treatment, round(share * 100)) for treatment, share in phase.shares.items()]
    return pl.Series([treatment for treatment, count in counts for _ in range(count)])


def _change_number(number: int, phase: catalogue.Phase) -> int:
    """The version of a flag, as flag tools write it: the milliseconds of its last change."""
    return FIRST_CHANGE + number * 86_400_017 + phase.since * DAY


def _told(listed: str, rule: str, not_ready: str) -> pl.Expr:
    """What a listed person, everybody else, or anybody gets while the SDK has no flags yet."""
    by_rule = pl.when(pl.col("listed") & (pl.col("rule") != "killed")).then(listed).otherwise(rule)
    return pl.when("ready").then(by_rule).otherwise(pl.lit(not_ready))


def _impression() -> pl.Expr:
    return pl.format(
        '{{"split":"{}","treatment":"{}","environmentName":"{}","label":"{}","changeNumber":{},"trafficType":"user"}}',
        "split", "treatment", pl.when("staging").then(pl.lit("staging")).otherwise(pl.lit("prod")), "label", "change",
    )  # fmt: skip


def _split_context() -> pl.Expr:
    return pl.format(
        '{{"library":{{"name":"flag-impressions","version":"1.7.2"}},"integration":{{"name":"flags","version":"3.0.1",'
        '"region":"eu-north-1"}},"sdk":{{"language":"python","version":"10.2.0","machine":"shop-{}","ip":"192.0.2.{}",'
        '"mode":"optimized","interval_seconds":60}},"workspace":"example-shop","channel":"server","timezone":"UTC",'
        '"key":{{"bucketing":"user","seed":{}}}}}',
        "host", pl.col("host") + 20, pl.col("change") % 100_003,
    )  # fmt: skip
