"""Replay's engine: from the rows of an archive to the tables of one part.

`layouts` read what people's files look like, `rows` decides which rows are good and which of several copies counts,
`identifiers` numbers the sets of identifiers, `payload`, `shred` and `values` turn what calls carry into typed columns,
and `parts` puts them together.
"""
