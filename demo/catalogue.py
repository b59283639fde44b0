"""What the invented shop consists of: products, pages, campaigns, devices and feature flags.

Everything is a small fixed table, most of it JSON text without the outer braces, so that an
event's JSON is a few look-ups and one concatenation. Nothing here is a real brand or person.
"""

from itertools import product as pairs
from typing import NamedTuple

import polars as pl

FIRST_NAMES = [
    "Ada", "Bela", "Cleo", "Dario", "Edda", "Fenno", "Gala", "Hanno", "Ilka", "Jori",
    "Kaia", "Lumi", "Milo", "Nara", "Odo", "Pia", "Quirin", "Runa", "Silas", "Tove",
    "Ulla", "Veit", "Wanda", "Xenia", "Yara", "Zeno", "Aino", "Bosse", "Cosima", "Dunja",
    "Enno", "Frieda", "Gesa", "Henk", "Imke", "Jonte", "Kalle", "Liv", "Maren", "Nils",
]  # fmt: skip

COLOURS = ["Blue", "Green", "Oak", "Copper", "Slate", "Linen", "Amber", "Ivory"]
THINGS = {
    "Kettle": "kitchen", "Pan": "kitchen", "Bowl": "kitchen",
    "Lamp": "lighting", "Lantern": "lighting",
    "Chair": "furniture", "Shelf": "furniture",
    "Blanket": "textiles", "Curtain": "textiles",
}  # fmt: skip
ITEMS = [(f"{colour} {thing}", category) for colour, (thing, category) in pairs(COLOURS, THINGS.items())]
CENTS = pl.Series([490 + 37 * (number * number % 211) for number in range(len(ITEMS))], dtype=pl.Int64)
PRODUCTS = pl.Series(
    [
        f'"product_id":"p{100 + number}","name":"{name}","category":"{category}","price":{CENTS[number] / 100}'
        for number, (name, category) in enumerate(ITEMS)
    ]
)

SHOP = "https://shop.example.com"
_GENERAL = [("Home", "/"), ("Kitchen", "/c/kitchen"), ("Lighting", "/c/lighting"), ("Furniture", "/c/furniture"),
            ("Textiles", "/c/textiles"), ("Help", "/help"), ("Pricing", "/pricing")]  # fmt: skip
_PURPOSE = [("Search", "/search"), ("Cart", "/cart"), ("Checkout", "/checkout"), ("Thank you", "/thanks"),
            ("Sign up", "/sign-up"), ("Log in", "/log-in"), ("Account", "/account")]  # fmt: skip
_PAGES = _GENERAL + _PURPOSE + [(name, f"/p/p{100 + number}") for number, (name, _) in enumerate(ITEMS)]
GENERAL = len(_GENERAL)
SEARCH, CART, CHECKOUT, THANKS, SIGN_UP, LOG_IN, ACCOUNT = range(GENERAL, GENERAL + len(_PURPOSE))
FIRST_PRODUCT = GENERAL + len(_PURPOSE)

# Source, medium, name, referrer; the first is a visit that no campaign brought.
_CAMPAIGNS = [
    (None, None, None, ""),
    ("newsletter", "email", "autumn-letter", ""),
    ("search.example", "cpc", "lamps-and-light", "https://search.example/results?q=lamp"),
    ("social.example", "social", "new-home", "https://social.example/feed"),
    ("partner.example", "affiliate", "partner-7", "https://partner.example/reviews/kettles"),
]
CAMPAIGNS = len(_CAMPAIGNS)


def _landing(page: tuple[str, str], campaign: tuple[str | None, str | None, str | None, str]) -> str:
    (title, path), (source, medium, name, referrer) = page, campaign
    search = f"?utm_source={source}&utm_medium={medium}&utm_campaign={name}" if source else ""
    text = (
        f'"page":{{"path":"{path}","referrer":"{referrer}","search":"{search}",'
        f'"title":"{title} | The Example Shop","url":"{SHOP}{path}{search}"}}'
    )
    if source:
        text += f',"campaign":{{"source":"{source}","medium":"{medium}","name":"{name}"}}'
    return text


# Of a page under a campaign: row number is page * CAMPAIGNS + campaign.
PAGE_CONTEXTS = pl.Series([_landing(page, campaign) for page, campaign in pairs(_PAGES, _CAMPAIGNS)])
PAGE_PROPERTIES = pl.Series([f'{{"name":"{title}","path":"{path}","url":"{SHOP}{path}"}}' for title, path in _PAGES])
SEARCHES = pl.Series(["kettle", "oak shelf", "warm light", "blanket", "gift", "chair, blue"])


class Model(NamedTuple):
    """A kind of device: a part of `context`, and how often it is met."""

    system: str
    version: str
    screen: tuple[int, int, int]
    kind: str
    share: float


MODELS = [
    Model("DeskOS", "14.5", (1440, 900, 2), "desktop", 0.25),
    Model("PaneOS", "11.2", (1920, 1080, 1), "desktop", 0.25),
    Model("PocketOS", "17.4.1", (393, 852, 3), "phone", 0.3),
    Model("DroidOS", "14", (412, 915, 2), "phone", 0.15),
    Model("PocketOS", "17.3", (820, 1180, 2), "tablet", 0.05),
]


def _device(model: Model) -> str:
    width, height, density = model.screen
    agent = (
        f"Mozilla/5.0 ({model.kind}; {model.system} {model.version}) ExampleEngine/605.1.15 "
        f"(compatible; like all the others) ExampleBrowser/128.0.2 Safe/604.1"
    )
    text = (
        f'"library":{{"name":"shop.js","version":"2.14.1"}},"userAgent":"{agent}",'
        f'"screen":{{"width":{width},"height":{height},"density":{density}}},'
        f'"os":{{"name":"{model.system}","version":"{model.version}"}}'
    )
    if model.kind != "desktop":
        text += f',"device":{{"type":"{model.kind}","manufacturer":"Example","model":"{model.kind.title()} {width}"}}'
    return text


DEVICES = pl.Series([_device(model) for model in MODELS])
PLACES = pl.Series(
    [
        f'"locale":"{locale}","timezone":"{zone}"'
        for locale, zone in [("en-GB", "Europe/London"), ("de-DE", "Europe/Berlin"), ("fr-FR", "Europe/Paris"),
                             ("fi-FI", "Europe/Helsinki"), ("en-US", "America/New_York")]
    ]
)  # fmt: skip
CITIES = pl.Series(
    [
        f'"city":"{city}","country":"{country}"'
        for city, country in [("Northford", "GB"), ("Seehausen", "DE"), ("Valbourg", "FR"), ("Koivula", "FI")]
    ]
)


class Phase(NamedTuple):
    """A flag from one day of the span on: the share of people who get each treatment."""

    since: int
    shares: dict[str, float]
    label: str = "default rule"


FLAGS = {
    "back_end_roll_algorithm": [
        Phase(0, {"on": 0.1, "off": 0.9}),
        Phase(18, {"on": 0.5, "off": 0.5}),
        Phase(39, {"off": 1.0}, "killed"),
        Phase(42, {"on": 0.8, "off": 0.2}),
    ],
    "checkout_redesign": [Phase(0, {"v1": 1.0}), Phase(10, {"v1": 0.5, "v2": 0.5}), Phase(35, {"v2": 0.5, "v3": 0.5})],
    "free_shipping_banner": [Phase(0, {"on": 0.3, "off": 0.7}, "in country"), Phase(30, {"on": 1.0}, "in country")],
    "search_ranking": [Phase(0, {"baseline": 0.8, "boosted": 0.1, "semantic": 0.1})],
    "new_pricing_page": [Phase(0, {"off": 1.0}), Phase(50, {"on": 0.05, "off": 0.95}, "in segment beta")],
    "dark_mode": [Phase(0, {"on": 0.5, "off": 0.5})],
}
