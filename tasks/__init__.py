"""The edge: clock, network, retries, limits, progress and counts around the engine's steps."""
