"""The lake: Populace's own tables as plain Parquet and JSON, and the only I/O of the engine.

`objects` reads and replaces whole objects on a local disk or in S3, `ledger` remembers what was
replayed, `tables` reads events whose files differ in schema, `runs` writes and publishes runs.
"""
