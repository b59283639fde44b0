"""Definition files to frozen nodes, with every problem of a space reported at once.

`documents` reads YAML and remembers lines, `shapes` says what may be written, `spaces`, `identities` and
`destinations` make the nodes, and `checks` looks for what one file alone cannot show.
"""

from populace.loading.spaces import load, load_identity, spaces_in
from populace.loading.variables import resolve_text

__all__ = ["load", "load_identity", "resolve_text", "spaces_in"]
