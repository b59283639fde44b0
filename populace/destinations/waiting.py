"""How long a vendor asks us to wait, in headers of its own; the sender reads Retry-After by itself."""

from populace.destinations.protocol import Response

EPOCH = 1_000_000_000  # what is above this is an instant of Unix time, below it a number of seconds


def asked(response: Response, at: int, *headers: str) -> float | None:
    """Seconds to wait from `at` on, by the first of these headers that says it; some count, some name the instant."""
    for header in headers:
        text = response.headers.get(header, "")
        if text.isdecimal():
            return float(max(int(text) - at, 0) if int(text) > EPOCH else int(text))
    return None
