"""Populace: profiles, traits and audiences from an event archive that you own, kept equal in every destination."""

import os

__version__ = "0.1.0"

# Polars would hand memory back to the system after half a second and ask for it anew for the next part of a replay,
# which costs a sixth of it. Read when polars is imported, so it has to be said before (docs/decisions.md).
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:30000,muzzy_decay_ms:30000,narenas:4")
