"""Replay's engine: from the rows of an archive to the tables of one slice.

A slice is one source and one received day. `layout` reads what people's files look like, `rows`
decides which rows are good and which of several copies counts, `identifiers` numbers the sets of
identifiers, `shred` turns JSON into typed columns, and `slices` puts them together.
"""
