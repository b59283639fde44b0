"""What people do in the shop's pages: the calls of the source `web` that one day brings forth."""

from typing import NamedTuple

import numpy as np
import polars as pl

from demo import catalogue
from demo.people import World
from demo.rhythm import Day, Span, iso_text

SHARE = 0.68  # of all events
# What a step of a visit is. Those from ADD to ORDER follow each other.
PAGE, SEARCH, VIEW, ADD, CHECKOUT, ORDER, IDENTIFY, SIGNED_UP, SIGNED_IN, SIGNED_OUT = range(10)
EVENTS = [None, "Products Searched", "Product Viewed", "Product Added", "Checkout Started", "Order Completed",
          None, "User Signed Up", "Signed In", "Signed Out"]  # fmt: skip
TYPES = pl.Series(["page"] + 5 * ["track"] + ["identify"] + 3 * ["track"])
SIGN_UP_TAKES = 400  # ms from the identify to its event
VIEWS = 5  # mean count of pages and products looked at in a visit
DEPTHS = [0.8, 0.09, 0.04, 0.07]  # of visits that end before ADD, after it, after CHECKOUT, after ORDER


class Visits(NamedTuple):
    """The visits of a day, one entry each: whose, when (ms), how many looks, how far towards an order."""

    browser: np.ndarray
    starts_at: np.ndarray
    views: np.ndarray
    depth: np.ndarray


def of_day(span: Span, world: World, day: Day) -> pl.DataFrame:
    """The steps people take on a day: what becomes a call, and what an order needs besides.

    Returns
    -------
    One row per step, in no order: (step: i64, timestamp: ms, browser: i64, page: i64, campaign: i64,
    product, other, third: i64, items: i64, quantity: i64, order: i64, is_known: bool, person: i64,
    cents: i64). `items` counts how many of the three products an order holds; cents is its total.
    """
    rng = span.rng("web", day.ordinal)
    marks = _marks(world, day)
    budget = round(span.events * SHARE * span.share(day)) - marks.height
    steps = pl.DataFrame(_steps(rng, day, _visits(span, rng, world, day, budget)))
    steps = pl.concat([steps, marks], how="diagonal").fill_null(0)
    return _priced(_recognised(steps, world))


def calls(steps: pl.DataFrame, world: World) -> pl.DataFrame:
    """The calls that the shop's pages send, one row per step.

    Columns: (type, event, user_id, anonymous_id, group_id, properties, traits, context: str or null;
    timestamp: ms).
    """
    named = steps.with_columns(
        type=pl.lit(TYPES).gather("step"),
        event=pl.lit(pl.Series(EVENTS)).gather("step"),
        anonymous_id=pl.lit(world.browsers["anonymous_id"]).gather("browser"),
        user_id=pl.when("is_known").then(pl.lit(world.persons["user_id"]).gather("person")),
        plan=pl.lit(world.persons["plan"]).gather("person"),
        context=_context(world),
    )
    parts = [named.filter(pl.col("step") == step) for step in range(len(EVENTS))]
    parts = [part.with_columns(_content(step, world)) for step, part in enumerate(parts)]
    text = pl.lit(None, dtype=pl.String)
    return pl.concat(parts).select(
        "type", "event", "user_id", "anonymous_id", text.alias("group_id"),
        "timestamp", "context", "properties", "traits",
    )  # fmt: skip


def _visits(span: Span, rng: np.random.Generator, world: World, day: Day, budget: int) -> Visits:
    """The first visit of every new browser, and as many returns of older ones as the budget allows."""
    opens, closes = world.browsers["opens_at"].to_numpy(), world.browsers["closes_at"].to_numpy()
    opening = np.flatnonzero((opens >= day.low) & (opens < day.high))
    open_all_day = np.flatnonzero((opens < day.low) & (closes > day.high))
    count = max(0, budget // VIEWS) + 1 if len(open_all_day) else 0
    weights = world.persons["activity"].to_numpy()[world.browsers["person"].to_numpy()[open_all_day]]
    browser = np.concatenate([opening, open_all_day[weighted(rng, weights, count)]])
    views = np.minimum(rng.geometric(1 / VIEWS, len(browser)), 8 * VIEWS)
    depth = rng.choice(len(DEPTHS), len(browser), p=DEPTHS)
    starts_at = np.concatenate([opens[opening], span.instants(rng, count, day)])
    within = np.cumsum(views + depth) <= budget
    within[: len(opening)] = True
    return Visits(*(values[within] for values in (browser, starts_at, views, depth)))


def weighted(rng: np.random.Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Positions drawn by weight; as `choice` with p, without its second pass over large tables."""
    reach = np.cumsum(weights)
    return np.searchsorted(reach, rng.random(count) * (reach[-1] if count else 0), side="right")


def _steps(rng: np.random.Generator, day: Day, visits: Visits) -> dict[str, np.ndarray]:
    lengths = visits.views + visits.depth
    visit = np.repeat(np.arange(len(lengths)), lengths)
    count = len(visit)
    position = np.arange(count) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    looks = np.where(position == 0, PAGE, rng.choice([PAGE, SEARCH, VIEW], count, p=[0.4, 0.08, 0.52]))
    step = np.where(position < visits.views[visit], looks, ADD + position - visits.views[visit])
    cart = _popular(rng, len(lengths))[visit]
    product = np.where(step == VIEW, _popular(rng, count), cart)
    return {
        "step": step,
        "timestamp": visits.starts_at[visit] + 25_000 * position + rng.integers(0, 20_000, count),
        "browser": visits.browser[visit],
        "page": _page(rng, step, product),
        "campaign": rng.choice(catalogue.CAMPAIGNS, len(lengths), p=[0.6, 0.12, 0.14, 0.08, 0.06])[visit],
        "product": product,
        "other": _popular(rng, len(lengths))[visit],
        "third": _popular(rng, len(lengths))[visit],
        "items": rng.choice([1, 2, 3], len(lengths), p=[0.6, 0.3, 0.1])[visit],
        "quantity": rng.choice([1, 2, 4], len(lengths), p=[0.8, 0.15, 0.05])[visit],
        "order": 10_000_000 + day.ordinal * 100_000 + visit,
    }


def _popular(rng: np.random.Generator, count: int) -> np.ndarray:
    """Products, of which the first are far more popular than the last."""
    return (rng.random(count) ** 2 * len(catalogue.PRODUCTS)).astype(np.int64)


def _page(rng: np.random.Generator, step: np.ndarray, product: np.ndarray) -> np.ndarray:
    page = np.where(step == PAGE, rng.integers(0, catalogue.GENERAL, len(step)), catalogue.FIRST_PRODUCT + product)
    for at, where in [(SEARCH, catalogue.SEARCH), (CHECKOUT, catalogue.CHECKOUT), (ORDER, catalogue.THANKS)]:
        page = np.where(step == at, where, page)
    return page


def _marks(world: World, day: Day) -> pl.DataFrame:
    """The steps of signing up, logging in and logging out."""
    login, closes = world.browsers["login_at"].to_numpy(), world.browsers["closes_at"].to_numpy()
    signs_up = world.browsers["is_sign_up"].to_numpy()
    enters = (login >= day.low) & (login < day.high)
    leaves = (closes >= day.low) & (closes < day.high)
    return pl.concat(
        [
            _mark(enters & signs_up, PAGE, login - 20_000, catalogue.SIGN_UP),
            _mark(enters & ~signs_up, PAGE, login - 20_000, catalogue.LOG_IN),
            _mark(enters, IDENTIFY, login, catalogue.ACCOUNT),
            _mark(enters & signs_up, SIGNED_UP, login + SIGN_UP_TAKES, catalogue.ACCOUNT),
            _mark(enters & ~signs_up, SIGNED_IN, login + SIGN_UP_TAKES, catalogue.ACCOUNT),
            _mark(leaves, SIGNED_OUT, closes - 1000, catalogue.ACCOUNT),
        ]
    )


def _mark(where: np.ndarray, step: int, at: np.ndarray, page: int) -> pl.DataFrame:
    browser = np.flatnonzero(where)
    marks = pl.DataFrame({"timestamp": at[browser], "browser": browser})
    return marks.with_columns(step=pl.lit(step, dtype=pl.Int64), page=pl.lit(page, dtype=pl.Int64))


def _recognised(steps: pl.DataFrame, world: World) -> pl.DataFrame:
    """Say who took each step and whether the shop knew; nobody is seen once the stay is over."""
    browsers = world.browsers
    timestamp = pl.col("timestamp")
    return steps.with_columns(
        person=pl.lit(browsers["person"]).gather("browser"),
        is_known=timestamp >= pl.lit(browsers["login_at"]).gather("browser"),
        closes_at=pl.lit(browsers["closes_at"]).gather("browser"),
    ).filter(timestamp < pl.col("closes_at"))


def _priced(steps: pl.DataFrame) -> pl.DataFrame:
    def cents(product: str) -> pl.Expr:
        return pl.lit(catalogue.CENTS).gather(product)

    items, goods = pl.col("items"), cents("product") * pl.col("quantity")
    goods += (items > 1).cast(pl.Int64) * cents("other") + (items > 2).cast(pl.Int64) * cents("third")
    return steps.with_columns(cents=pl.when(_has_coupon()).then(goods * 9 // 10).otherwise(goods))


def _has_coupon() -> pl.Expr:
    return pl.col("order") % 7 == 3


def _context(world: World) -> pl.Expr:
    device = pl.lit(world.browsers["context"]).gather("browser")
    page = pl.lit(catalogue.PAGE_CONTEXTS).gather(pl.col("page") * catalogue.CAMPAIGNS + pl.col("campaign"))
    return pl.format("{{{},{}}}", device, page)


def _content(step: int, world: World) -> list[pl.Expr]:
    """The step's own JSON: `traits` of an identify, `properties` of everything else."""
    absent = pl.lit(None, dtype=pl.String)
    if step == IDENTIFY:
        return [absent.alias("properties"), _traits(world).alias("traits")]
    return [PROPERTIES[step].alias("properties"), absent.alias("traits")]


def _traits(world: World) -> pl.Expr:
    def of_person(name: str) -> pl.Expr:
        return pl.lit(world.persons[name]).gather("person")

    return pl.format(
        '{{"email":"{}","name":"{}","plan":"{}","customerNumber":"{}","createdAt":"{}"}}',
        pl.lit(world.browsers["email"]).gather("browser"),
        of_person("name"),
        "plan",
        of_person("customer_number"),
        iso_text(of_person("customer_at")),
    )


def _order() -> pl.Expr:
    def item(product: str, least: int) -> pl.Expr:
        text = pl.format(',{{{},"quantity":1}}', pl.lit(catalogue.PRODUCTS).gather(product))
        return pl.when(pl.col("items") >= least).then(text).otherwise(pl.lit(""))

    is_express = pl.col("order") % 4 == 0
    return pl.format(
        '{{"order_id":"o{}","revenue":{},"currency":"EUR"{},"products":[{{{},"quantity":{}}}{}{}],'
        '"shipping":{{"method":"{}","cost":{},"address":{{{}}}}}}}',
        "order",
        pl.col("cents") / 100,
        pl.when(_has_coupon()).then(pl.lit(',"coupon":"SUMMER10"')).otherwise(pl.lit("")),
        _PRODUCT,
        "quantity",
        item("other", 2),
        item("third", 3),
        pl.when(is_express).then(pl.lit("express")).otherwise(pl.lit("standard")),
        pl.when(is_express).then(9.9).otherwise(4.9),
        pl.lit(catalogue.CITIES).gather(pl.col("order") % len(catalogue.CITIES)),
    )


_PRODUCT = pl.lit(catalogue.PRODUCTS).gather("product")
_METHOD = pl.lit('{"method":"email"}')
_QUERY = pl.lit(catalogue.SEARCHES).gather(pl.col("product") % len(catalogue.SEARCHES))
PROPERTIES = {
    PAGE: pl.lit(catalogue.PAGE_PROPERTIES).gather("page"),
    SEARCH: pl.format('{{"query":"{}"}}', _QUERY),
    VIEW: pl.format('{{{},"currency":"EUR"}}', _PRODUCT),
    ADD: pl.format('{{{},"currency":"EUR","quantity":{}}}', _PRODUCT, "quantity"),
    CHECKOUT: pl.format('{{"value":{},"currency":"EUR","items":{}}}', pl.col("cents") / 100, "items"),
    ORDER: _order(),
    SIGNED_UP: pl.format('{{"plan":"{}","method":"email"}}', "plan"),
    SIGNED_IN: _METHOD,
    SIGNED_OUT: _METHOD,
}
