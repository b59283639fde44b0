"""The query language: text to nodes, nodes to text.

`grammar.lark` (after the reference, 5.3) says which calls may be written, `types` which of them make sense and
where, `arguments`, `names` and `constants` what stands between their parentheses and quotes. `chains` makes nodes of
them, `parsing` is the door, and `printing` writes nodes back. `uncomputed` names what the engine does not have yet.
`attribution` lets events count for the account that they name, `waiting` lets funnels wait until their windows are
closed, `sessions` lets values of sessions end with them, and `undated` looks for what is compared with dates and is
none.
"""

from populace.query.attribution import attributed
from populace.query.names import QueryError
from populace.query.parsing import parse_audience, parse_field, parse_trait
from populace.query.printing import fingerprint, print_query
from populace.query.sessions import expiring
from populace.query.types import Level
from populace.query.uncomputed import not_computed
from populace.query.undated import undated
from populace.query.waiting import waiting

__all__ = [
    "Level", "QueryError", "attributed", "expiring", "fingerprint", "not_computed", "parse_audience", "parse_field",
    "parse_trait", "print_query", "undated", "waiting",
]  # fmt: skip
