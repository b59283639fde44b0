"""Who lives in the invented world: persons, the browsers they use, and which identifier is whose."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from demo import catalogue
from demo.rhythm import DAY, HOUR, MINUTE, NEVER, Span

EVENTS_PER_PERSON = 70
FORMER, SIGN_UPS = 0.25, 0.5  # customers from before the span; those who sign up in it, sooner or later
SHARED_BROWSERS = 12  # pairs of people, one anonymous_id
MAILBOX, MAILBOX_OWNERS = "noreply@example.com", 3
BUSINESS = 0.05
PLANS = np.array(["free", "plus", "pro"])
DOMAINS = np.array(["example.com", "example.org", "mail.example", "post.example"])

# The numeric columns of `World.browsers`, before they are furnished: one entry per stay.
Stays = dict[str, np.ndarray]


class World(NamedTuple):
    """Everybody and every browser; a row's number is the number of the person or browser.

    persons: one row per person (user_id, email, name, plan, customer_number, company: str or null,
    customer_at: ms, NEVER for who stays unknown; has_signed_up: bool, within the span; activity: f64).

    browsers: one row per stay of a person behind one anonymous_id (person, anonymous_id, opens_at,
    login_at, closes_at: ms or NEVER; is_sign_up: bool, the log-in is the sign-up; is_first: bool, the
    anonymous_id was born here; email: str, as typed at log-in; context: str, a part of the JSON).
    """

    persons: pl.DataFrame
    browsers: pl.DataFrame


def settle(span: Span) -> World:
    """The whole population of a span."""
    rng = span.rng("people")
    count = max(100, span.events // EVENTS_PER_PERSON)
    fate = rng.random(count)
    first = _first_browsers(span, rng, former=fate < FORMER, signs_up=fate < FORMER + SIGN_UPS)
    persons = _persons(span, rng, first, former=fate < FORMER)
    return World(persons, _furnish(rng, _stays(span, rng, first), persons))


def truth(as_of: datetime, *, events: int = 200_000, seed: int = 7) -> pl.DataFrame:
    """Which person each identifier belongs to, for judging an identity graph of the same archive.

    Returns
    -------
    One row per identifier, sorted: (id_type: str, id_value: str, person: i64, is_linked: bool).
    E-mails are trimmed and in lower case. `is_linked` is false for the anonymous_id of a stay
    in which nobody logged in: no exact method can know whose it is. A shared browser is its
    first user's; the shared mailbox is nobody's and absent, as are blocked values.
    """
    world = settle(Span.ending(as_of, events, seed))
    known = world.persons.with_row_index("person").filter(pl.col("customer_at") < NEVER)
    accounts = known.unpivot(["user_id", "email", "customer_number"], index="person")
    accounts = accounts.select(pl.col("variable").alias("id_type"), pl.col("value").alias("id_value"), "person")
    browsers = world.browsers.filter("is_first").select(
        pl.lit("anonymous_id").alias("id_type"),
        pl.col("anonymous_id").alias("id_value"),
        "person",
        (pl.col("login_at") < NEVER).alias("is_linked"),
    )
    accounts = accounts.filter(pl.col("id_value") != MAILBOX).with_columns(is_linked=True)
    columns = [pl.col("id_type", "id_value"), pl.col("person").cast(pl.Int64), "is_linked"]
    return pl.concat([accounts.select(columns), browsers.select(columns)]).sort("id_type", "id_value")


def hexadecimal(rng: np.random.Generator, count: int) -> pl.Series:
    """Random words of 32 hexadecimal digits."""
    return pl.Series(np.frombuffer(rng.bytes(16 * count).hex().encode(), "S32"), dtype=pl.Binary).cast(pl.String)


def _first_browsers(span: Span, rng: np.random.Generator, *, former: np.ndarray, signs_up: np.ndarray) -> Stays:
    count = len(former)
    opens = np.minimum(span.instants(rng, count), span.as_of - 2 * MINUTE)
    # Former customers come back early in the span, so that the newcomers' part grows.
    returning = span.start + (rng.random(count) ** 2 * 0.6 * (opens - span.start)).astype(np.int64)
    opens = np.where(former, returning, opens)
    hesitation = (6 * MINUTE + rng.lognormal(np.log(6 * HOUR), 2, count)).astype(np.int64)
    login = np.where(signs_up, opens + hesitation, NEVER)
    return _stay(span, np.arange(count), opens, login, is_sign_up=signs_up & ~former)


def _stay(span: Span, person: np.ndarray, opens: np.ndarray, login: np.ndarray, **more: np.ndarray) -> Stays:
    """Stays behind new anonymous ids, without those that would begin too late to be seen."""
    # A minute is what the rows of one log-in need to be received before as_of.
    login = np.where(login < span.as_of - MINUTE, login, NEVER)
    stay = {"person": person, "opens_at": opens, "login_at": login, "closes_at": np.full(len(person), NEVER)}
    stay |= {"is_sign_up": np.zeros(len(person), dtype=bool)} | more
    stay["is_sign_up"] = stay["is_sign_up"] & (login < NEVER)
    seen = opens < span.as_of - MINUTE
    return {name: values[seen] for name, values in stay.items()}


def _persons(span: Span, rng: np.random.Generator, first: Stays, *, former: np.ndarray) -> pl.DataFrame:
    count = len(former)
    created = span.start - (rng.random(count) * 300 * DAY).astype(np.int64)
    company = np.where(rng.random(count) < BUSINESS, rng.integers(100, 100 + max(4, count // 60), count), 0)
    persons = pl.DataFrame(
        {
            "number": np.arange(1001, 1001 + count),
            "name": np.array(catalogue.FIRST_NAMES)[rng.integers(0, len(catalogue.FIRST_NAMES), count)],
            "domain": DOMAINS[rng.choice(4, count, p=[0.5, 0.3, 0.1, 0.1])],
            "plan": PLANS[rng.choice(3, count, p=[0.7, 0.2, 0.1])],
            "customer_at": np.where(former, created, first["login_at"]),
            "has_signed_up": first["is_sign_up"],
            "activity": rng.lognormal(0, 1, count),
            "company": company,
        }
    )
    shared = pl.Series(np.isin(np.arange(count), _special(first)[2]))
    return persons.select(
        pl.format("u{}", "number").alias("user_id"),
        pl.when(shared)
        .then(pl.lit(MAILBOX))
        .otherwise(pl.format("{}.{}@{}", pl.col("name").str.to_lowercase(), "number", "domain"))
        .alias("email"),
        "name",
        "plan",
        pl.format("C-{}", pl.col("number") * 7).alias("customer_number"),
        pl.when(pl.col("company") > 0).then(pl.format("g{}", "company")).alias("company"),
        "customer_at",
        "has_signed_up",
        "activity",
    )


def _special(first: Stays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owners of shared browsers, their guests, owners of the shared mailbox: disjoint."""
    # The earliest log-ins, for a guest needs days after both of them.
    order = np.argsort(first["login_at"], kind="stable")
    order = order[first["login_at"][order] < NEVER]
    pairs = min(SHARED_BROWSERS, len(order) // 8)
    return order[:pairs], order[pairs : 2 * pairs], order[2 * pairs : 2 * pairs + MAILBOX_OWNERS]


def _stays(span: Span, rng: np.random.Generator, first: Stays) -> pl.DataFrame:
    """All stays; those of first browsers come first, so that their numbers are their persons'."""
    owners, guests, _ = _special(first)
    second = _another(span, rng, first, share=0.45)
    third = _another(span, rng, second, share=0.25)
    borrowed = _guest_stays(span, rng, first, owners, guests)
    stays = _joined(first, second, third)
    stays = _joined(stays, _after_logging_out(span, rng, stays, spared=owners))
    device = np.concatenate([np.arange(len(stays["person"])), owners])
    return pl.DataFrame(_joined(stays, borrowed)).with_columns(device=pl.Series(device))


def _joined(*stays: Stays) -> Stays:
    return {name: np.concatenate([stay[name] for stay in stays]) for name in stays[0]}


def _another(span: Span, rng: np.random.Generator, stays: Stays, *, share: float) -> Stays:
    """A further device of some who are logged in: first anonymous there, then logged in as well."""
    chosen = np.flatnonzero((stays["login_at"] < NEVER) & (rng.random(len(stays["login_at"])) < share))
    opens = stays["login_at"][chosen] + (rng.uniform(0.05, 20, len(chosen)) * DAY).astype(np.int64)
    login = opens + rng.integers(6 * MINUTE, 3 * HOUR, len(chosen))
    return _stay(span, stays["person"][chosen], opens, login)


def _guest_stays(span: Span, rng: np.random.Generator, first: Stays, owners: np.ndarray, guests: np.ndarray) -> Stays:
    """Guests who log in where the owner logged out without a reset of the anonymous_id."""
    begins = np.maximum(first["login_at"][owners], first["login_at"][guests])
    begins = np.minimum(begins + rng.integers(DAY, 5 * DAY, len(owners)), span.as_of - HOUR)
    first["closes_at"][owners] = begins
    return _stay(span, guests, begins, begins)


def _after_logging_out(span: Span, rng: np.random.Generator, stays: Stays, *, spared: np.ndarray) -> Stays:
    """A fifth log out, which resets the anonymous_id; most of them log in again some day."""
    person = stays["person"]
    leaves = (stays["login_at"] < NEVER) & ~np.isin(person, spared) & (rng.random(len(person)) < 0.2)
    chosen = np.flatnonzero(leaves)
    closes = stays["login_at"][chosen] + (rng.uniform(0.2, 25, len(chosen)) * DAY).astype(np.int64)
    chosen, closes = chosen[closes < span.as_of - HOUR], closes[closes < span.as_of - HOUR]
    stays["closes_at"][chosen] = closes
    opens = closes + rng.integers(MINUTE, 3 * DAY, len(chosen))
    login = np.where(rng.random(len(chosen)) < 0.8, opens + rng.integers(6 * MINUTE, DAY, len(chosen)), NEVER)
    return _stay(span, stays["person"][chosen], opens, login)


def _furnish(rng: np.random.Generator, stays: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Give stays their texts: anonymous_id, the e-mail as typed, the device's part of `context`."""
    count, device = stays.height, stays["device"].to_numpy()
    model = rng.choice(len(catalogue.MODELS), count, p=[model.share for model in catalogue.MODELS])
    columns = stays.with_columns(
        id=hexadecimal(rng, count).gather(device),
        typed=pl.Series(rng.choice(4, count, p=[0.85, 0.06, 0.05, 0.04])),
        email=persons["email"].gather(stays["person"]),
        hardware=catalogue.DEVICES.gather(model[device]),
        place=catalogue.PLACES.gather(rng.integers(0, len(catalogue.PLACES), count)),
        net=pl.Series(np.array(["192.0.2", "198.51.100", "203.0.113"])[rng.integers(0, 3, count)]),
        host=pl.Series(rng.integers(1, 255, count)),
    )
    return columns.select(
        pl.exclude("id", "typed", "email", "hardware", "place", "net", "host", "device"),
        (pl.col("device") == pl.int_range(pl.len())).alias("is_first"),
        _uuid().alias("anonymous_id"),
        _as_typed().alias("email"),
        pl.format('{},"ip":"{}.{}",{}', "hardware", "net", "host", "place").alias("context"),
    )


def _uuid() -> pl.Expr:
    parts = [(0, 8), (8, 4), (12, 4), (16, 4), (20, 12)]
    return pl.concat_str([pl.col("id").str.slice(*part) for part in parts], separator="-")


def _as_typed() -> pl.Expr:
    """People type their address in capitals, or with a space that they do not see."""
    email, how = pl.col("email"), pl.col("typed")
    capital = pl.concat_str(email.str.head(1).str.to_uppercase(), email.str.slice(1))
    return (
        pl.when(how == 1).then(capital)
        .when(how == 2).then(pl.concat_str(email, pl.lit(" ")))
        .when(how == 3).then(email.str.to_uppercase())
        .otherwise(email)
    )  # fmt: skip
