"""The query language: text to nodes, nodes to text.

`grammar.lark` (after the reference, 5.3) says which calls may be written, `parsing` which of them make
sense, `names` what may stand between quotes, and `printing` writes nodes back.

What the language has and the engine does not yet have is refused by name. Nothing is ignored.
"""

from populace.query.names import QueryError
from populace.query.parsing import parse_audience, parse_trait
from populace.query.printing import fingerprint, print_query

__all__ = ["QueryError", "fingerprint", "parse_audience", "parse_trait", "print_query"]
