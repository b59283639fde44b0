"""What the calls of a made-up web shop say: every field an expression over the numbers that a call was drawn as.

A tree of leaves stands for a JSON object: a layout writes it as text, or as a column a leaf, and both are the same
values. The sizes are those of analytics.js: about 600 bytes of `context`, 80 to 250 of `properties`. Nothing here is a
real brand or person.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

import polars as pl

FIRST_DAY = date(2026, 5, 4)  # a Monday
DAY = 86_400_000  # milliseconds; instants are milliseconds since 1970 until they are written
SHOP = "https://www.shop.example"
CAMPAIGN, CONTEXT_EMAIL, EXTERNAL, BAD, ODD = 0.2, 0.03, 0.005, 0.002, 0.001  # shares of all calls
ODD_FIELDS = ("quantity", "results")  # numbers that are text now and then
IS_KNOWN = 0.4  # the share of calls with a user_id


class Leaf(NamedTuple):
    """One value. `kind`: word (needs no escapes), text, int, float, bool, instant, or json (a list, as its text)."""

    kind: str
    value: pl.Expr


Tree = dict[str, "Leaf | Tree"]  # a name that ends in ? is left out where the value is null; never the first one


def _pick(values: Iterable[str | int | None], index: pl.Expr) -> pl.Expr:
    table = pl.Series(list(values))
    return pl.lit(table).gather(index % len(table))


def _euros(cents: pl.Expr) -> pl.Expr:
    # polars divides by multiplying with 1 / 100, so that 27.56 would be 27.560000000000002.
    return (cents / 100).round(2)


_PERSON, _PRODUCT, _NUMBER, _MADE = (pl.col(name).cast(pl.Int64) for name in ("person", "product", "number", "made"))
_THINGS = ["Kettle", "Pan", "Bowl", "Lamp", "Lantern", "Chair", "Shelf", "Blanket", "Curtain", 'Table 40"']
_COLOURS = ["Blue", "Green", "Oak", "Copper", "Slate", "Linen", "Amber", "Ivory", "Bl\u00e5", "Walnut & Ash"]
_NAMES = [f"{_COLOURS[number % 10]} {_THINGS[number // 10 % 10]} {number}" for number in range(2000)]
_PATHS = [f"/products/{re.sub('[^a-z0-9]+', '-', name.lower())}" for name in _NAMES]
_SKU = _PRODUCT * 7 + 100_000
_CENTS = pl.lit(pl.Series([490 + 37 * (number * number % 211) for number in range(2000)])).gather("product")
_FIRST_NAMES = ["Ada", "Bela", "Cleo", "Dario", "Edda", "Fenno", "Gala", "Hanno", "Ilka", "Jori", "Kaia", "Lumi"]
_GENERAL = {
    "/": "Home", "/sale": "Sale", "/cart": "Cart", "/checkout": "Checkout", "/account": "Account", "/search": "Search",
    "/c/kitchen": "Kitchen", "/c/lighting": "Lighting", "/c/furniture": "Furniture", "/help": "Help & Contact",
}  # fmt: skip
# Two pages of three show the product that the call is about.
_PATH = pl.when(pl.col("page") < 2000).then(_pick(_PATHS, _PRODUCT)).otherwise(_pick(_GENERAL, pl.col("page")))
_TITLE = (
    pl.when(pl.col("page") < 2000).then(_pick(_NAMES, _PRODUCT)).otherwise(_pick(_GENERAL.values(), pl.col("page")))
)
_HAS_CAMPAIGN = pl.col("campaign") < CAMPAIGN
_CHOICE = (pl.col("campaign") * 400).cast(pl.Int64)
_SOURCES = ["newsletter", "search.example", "social.example", "partner.example"]
_MEDIA = ["email", "cpc", "social", "affiliate"]
_CAMPAIGNS = ["autumn-letter", "lamps-and-light", "new-home", "partner-7", "summer-sale", "welcome-back", "gift-guide"]
_QUERIES = [
    f"?utm_source={_SOURCES[number % 4]}&utm_medium={_MEDIA[number % 4]}&utm_campaign={_CAMPAIGNS[number % 7]}"
    for number in range(4 * 7)
]
_SEARCH = pl.when(_HAS_CAMPAIGN).then(_pick(_QUERIES, _CHOICE)).otherwise(pl.lit(""))
_AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 {kind}Safari/537.36"
    for version in range(118, 130)
    for system, kind in (("Macintosh; Intel Mac OS X 10_15_7", ""), ("Windows NT 10.0; Win64; x64", ""),
                         ("Linux; Android 14; Pixel 8 Pro", "Mobile "), ("X11; Linux x86_64", ""))
]  # fmt: skip
_ADDRESS = pl.format("{}.{}@mail.example", _pick([name.lower() for name in _FIRST_NAMES], _PERSON), _PERSON)
_EMAIL = pl.when(_NUMBER % 20 == 3).then(_ADDRESS.str.to_uppercase()).otherwise(_ADDRESS)  # as some people type it
_CREATED = (FIRST_DAY - date(1970, 1, 1)).days * DAY - _PERSON * 7_919_377 % (900 * DAY)
_ITEM = '{{"product_id":"p{}","sku":"SKU-{}","price":{},"quantity":{}}}'
_TWO = (_PRODUCT, _SKU, _euros(_CENTS), "quantity", _PRODUCT + 1, _SKU + 7, _euros(2 * _CENTS), 1)

FIELDS: Tree = {
    "product_id": Leaf("word", pl.format("p{}", _PRODUCT)),
    "sku": Leaf("word", pl.format("SKU-{}", _SKU)),
    "name": Leaf("text", _pick(_NAMES, _PRODUCT)),
    "category": Leaf("word", _pick(["kitchen", "lighting", "furniture", "textiles", "garden"], _PRODUCT)),
    "brand": Leaf("word", _pick(["Nordlys", "Hearth & Co", "Example Works", "Studio Nine"], _PRODUCT // 5)),
    "variant": Leaf("word", _pick(["small", "medium", "large"], _NUMBER)),
    "price": Leaf("float", _euros(_CENTS)),
    "quantity": Leaf("int", pl.col("quantity")),
    "position": Leaf("int", _NUMBER % 48 + 1),
    "currency": Leaf("word", _pick(["EUR", "EUR", "GBP", "USD"], _PERSON)),
    "in_stock": Leaf("bool", _PRODUCT % 11 != 3),
    "is_gift": Leaf("bool", _NUMBER % 9 == 4),
    "coupon?": Leaf("word", pl.when(_NUMBER % 5 == 2).then(_pick(["SUMMER10", "HELLO5", "FRIENDS"], _NUMBER // 5))),
    "list": {"id": Leaf("word", pl.format("list-{}", _NUMBER % 60)), "position": Leaf("int", _NUMBER % 24)},
    "query": Leaf("text", _pick(["kettle", "oak shelf", "warm light", 'lamp 10"', "gift", "chair, blue"], _NUMBER)),
    "results": Leaf("int", _NUMBER % 180),
    "cart_id": Leaf("word", pl.format("cart-{}", _PERSON * 31 + _NUMBER % 31)),
    "order_id": Leaf("word", pl.format("ord-{}", pl.col("row") + 5_000_000)),
    "step": Leaf("int", _NUMBER % 4 + 1),
    "method": Leaf("word", _pick(["card", "invoice", "wallet", "bank transfer"], _NUMBER)),
    "value": Leaf("float", _euros(_CENTS * pl.col("quantity"))),
    "revenue": Leaf("float", _euros(_CENTS * pl.col("quantity") * 9 // 10)),
    "tax": Leaf("float", _euros(_CENTS * pl.col("quantity") // 5)),
    "shipping": {
        "method": Leaf("word", _pick(["standard", "express"], _NUMBER)),
        "cost": Leaf("float", _euros(_NUMBER % 3 * 245)),
        "eta?": Leaf("instant", pl.when(_NUMBER % 2 == 0).then(pl.col("timestamp") + 2 * DAY)),
    },
    "products": Leaf("json", pl.format(f"[{_ITEM},{_ITEM}]", *_TWO)),
    "promotion_id": Leaf("word", pl.format("promo-{}", _NUMBER % 40)),
    "creative": Leaf("word", _pick(["hero", "side banner", "footer", "overlay"], _NUMBER // 40)),
    "share_message": Leaf("text", _pick(["Look at this!", 'It says "new"', "For your kitchen?"], _NUMBER)),
    "seconds": Leaf("float", (_NUMBER % 90_000 / 1000).round(3)),
    "path": Leaf("word", _PATH),
    "url": Leaf("word", pl.format(SHOP + "{}", _PATH)),
    "title": Leaf("text", _TITLE),
}

EVENTS = {
    "Product Viewed": "product_id sku name category brand price currency in_stock list",
    "Product List Viewed": "list category results seconds",
    "Product Clicked": "product_id sku name price position list",
    "Product Added": "product_id sku name price quantity currency cart_id variant coupon?",
    "Cart Viewed": "cart_id value quantity currency is_gift",
    "Products Searched": "query results category seconds in_stock",
    "Product List Filtered": "list category variant brand results in_stock",
    "Checkout Started": "cart_id value currency quantity coupon? shipping",
    "Checkout Step Completed": "cart_id step method value is_gift",
    "Order Completed": "order_id value revenue tax currency coupon? shipping products",
    "Payment Info Entered": "cart_id step method value currency",
    "Promotion Viewed": "promotion_id creative name position list",
    "Promotion Clicked": "promotion_id creative name position seconds",
    "Product Removed": "product_id sku name price quantity cart_id",
    "Coupon Applied": "order_id cart_id value currency coupon?",
    "Product Added to Wishlist": "product_id sku name category price",
    "Signed In": "method step is_gift seconds creative",
    "Email Opened": "promotion_id creative query seconds",
    "Product Shared": "product_id name share_message method url",
    "Order Refunded": "order_id value revenue currency is_gift",
    "page_viewed": "name path url title category seconds",
}
FEATURE = "position creative variant seconds is_gift"

_IS_LATELY_KNOWN = pl.col("is_known") & (pl.col("luck") < CONTEXT_EMAIL / IS_KNOWN) & (_PERSON % 10 != 3)
_CRM = '[{{"id":"crm-{}","type":"crm_id","collection":"users","encoding":"none"}}]'
_HAS_CRM = pl.col("is_known") & (_NUMBER % 1000 < 2500 * EXTERNAL)
CONTEXT: Tree = {
    "library": {
        "name": Leaf("word", pl.lit("analytics.js")),
        "version": Leaf("word", _pick(["npm:next-1.70.0", "npm:next-1.72.1"], _MADE)),
    },
    "page": {
        "path": FIELDS["path"],
        "referrer": Leaf("word", _pick(["", "https://www.search.example/", f"{SHOP}/c/lighting"], _NUMBER)),
        "search": Leaf("word", _SEARCH),
        "title": Leaf("text", pl.format("{} | The Example Shop", _TITLE)),
        "url": Leaf("word", pl.format(SHOP + "{}{}", _PATH, _SEARCH)),
    },
    "userAgent": Leaf("word", _pick(_AGENTS, _MADE)),
    "userAgentData": {
        "mobile": Leaf("bool", _MADE % 4 == 2),
        "platform": Leaf("word", _pick(["macOS", "Windows", "Android", "Linux"], _MADE)),
    },
    "ip": Leaf("word", pl.format("203.0.{}.{}", _MADE // 7 % 256, _MADE // 2000 % 256)),
    "locale": Leaf("word", _pick(["en-GB", "de-DE", "fr-FR", "fi-FI", "en-US"], _PERSON)),
    "timezone": Leaf("word", _pick(["Europe/London", "Europe/Berlin", "Europe/Paris", "America/New_York"], _PERSON)),
    "screen": {
        "width": Leaf("int", _pick([1440, 1920, 393, 412, 820], _MADE)),
        "height": Leaf("int", _pick([900, 1080, 852, 915, 1180], _MADE)),
        "density": Leaf("float", _MADE % 5 / 2 + 1),
    },
    "campaign?": {
        name: Leaf("word", pl.when(_HAS_CAMPAIGN).then(_pick(values, _CHOICE)))
        for name, values in {"name": _CAMPAIGNS, "source": _SOURCES, "medium": _MEDIA}.items()
    },
    "traits?": {"email": Leaf("word", pl.when(_IS_LATELY_KNOWN).then(_EMAIL))},
    "externalIds?": Leaf("json", pl.when(_HAS_CRM).then(pl.format(_CRM, _PERSON))),
}
TRAITS: dict[str, Tree] = {
    "identify": {
        "firstName": Leaf("word", _pick(_FIRST_NAMES, _PERSON)),
        "email?": Leaf("word", pl.when(_PERSON % 10 != 3).then(_EMAIL)),
        "plan": Leaf("word", _pick(["free", "free", "plus", "pro"], _PERSON + pl.col("row") // 999)),
        "createdAt": Leaf("instant", _CREATED),
        "newsletter": Leaf("bool", _PERSON % 3 == 1),
        "address": {"city": Leaf("word", _pick(["Northford", "Seehausen", "Valbourg"], _PERSON))},
    },
    "group": {
        "name": Leaf("text", pl.format('The "{}" Company', pl.col("person") % 997)),
        "plan": Leaf("word", _pick(["team", "business"], _PERSON % 997)),
        "employees": Leaf("int", _PERSON % 997 * 3 + 5),
    },
}


def contents(table: str) -> dict[str, Tree]:
    """The JSON objects that calls of this table carry."""
    if table in TRAITS:
        return {"context": CONTEXT, "traits": TRAITS[table]}
    names = EVENTS.get(table, FEATURE).split()
    return {"context": CONTEXT, "properties": {name: FIELDS[name] for name in names}}


# --- how it is written ------------------------------------------------------------------------------

TYPED = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}


def instant(milliseconds: pl.Expr) -> pl.Expr:
    """As Datetime[us, UTC]."""
    return pl.from_epoch(milliseconds, "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def iso_text(milliseconds: pl.Expr) -> pl.Expr:
    """As archives in JSON have it."""
    return pl.from_epoch(milliseconds, "ms").dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")


def as_json(tree: Tree) -> pl.Expr:
    """An object's text, spelled as JavaScript does."""
    template, values = _template(tree)
    return pl.format(template, *values)


def _template(tree: Tree) -> tuple[str, list[pl.Expr]]:
    texts: list[str] = []
    values: list[pl.Expr] = []
    for key, node in tree.items():
        name = key.removesuffix("?")
        text, found = _template(node) if isinstance(node, dict) else _spelled(name, node)
        text = f'{"," if texts else ""}"{name}":{text}'
        if name != key:
            text, found = "{}", [pl.format(text, *found).fill_null("")]
        texts.append(text)
        values += found
    return "{{" + "".join(texts) + "}}", values


def _spelled(name: str, leaf: Leaf) -> tuple[str, list[pl.Expr]]:
    value = iso_text(leaf.value) if leaf.kind == "instant" else leaf.value.cast(pl.String)
    if leaf.kind == "text":
        value = value.str.replace_all('"', '\\"', literal=True)
    if leaf.kind == "float":
        value = value.str.strip_suffix(".0")
    if name in ODD_FIELDS:
        is_odd = pl.col("fate").is_between(BAD, BAD + ODD)
        value = pl.when(is_odd).then(pl.format('"{}"', value)).otherwise(value)
    return ('"{}"' if leaf.kind in ("word", "text", "instant") else "{}"), [value]


def flattened(tree: Tree, prefix: str) -> Iterator[pl.Expr]:
    """A column for every leaf (E-76); a list is its JSON."""
    for key, node in tree.items():
        name = f"{prefix}_{key.removesuffix('?')}"
        if isinstance(node, dict):
            yield from flattened(node, name)
        else:
            value = instant(node.value) if node.kind == "instant" else node.value.cast(TYPED.get(node.kind, pl.String))
            yield value.alias(name)
