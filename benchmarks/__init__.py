"""Measurements that are run by hand or at night, not by `make test`."""

import populace  # noqa: F401  # it says how polars keeps memory, which polars reads when it is imported
