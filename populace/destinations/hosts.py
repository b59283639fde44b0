"""Where a vendor is reached: by region, or at an address of one's own."""

import re
from collections.abc import Mapping

from populace.destinations.protocol import ALLOW_PRIVATE, Setting, Settings, address

BARE = re.compile(r"https?://[^/?#@]+/?")

Hosts = Mapping[str, str]  # the address of each region, the usual one first


def settings_of(hosts: Hosts) -> tuple[Setting, ...]:
    """The settings that say where."""
    first, *others = hosts
    regions = f"`{first}` by default; or {', '.join(f'`{each}`' for each in others)}"
    region = (Setting("region", f"where the account lives: {regions}"),) if others else ()
    return (*region, Setting("endpoint", f"another address than `{hosts[first]}`, without a path"), ALLOW_PRIVATE)


def host(settings: Settings, hosts: Hosts) -> str:
    """The address, without a slash at its end; of a region that is not known yet, its name as written."""
    region = settings.get("region", next(iter(hosts)))
    return settings.get("endpoint", hosts.get(region, region)).rstrip("/")


def problems(settings: Settings, hosts: Hosts) -> list[str]:
    region = settings.get("region", next(iter(hosts)))
    is_known = region in hosts or "${" in region or len(hosts) == 1  # without a choice there is no such setting
    known = [] if is_known else [f"'region' must be one of {', '.join(hosts)}"]
    endpoint = settings.get("endpoint", "")
    has_more = "${" not in endpoint and BARE.fullmatch(endpoint) is None and not address(settings, "endpoint")
    bare = ["'endpoint' must be an address alone, such as https://host, without a path or a password"]
    return known + address(settings, "endpoint") + (bare if endpoint and has_more else [])
