"""Definition files to frozen nodes, with every problem of a space reported at once.

`documents` reads YAML and remembers lines, `shapes` says what may be written, `spaces` and `identities` make the
nodes, and `checks` looks for what one file alone cannot show.
"""

from populace.loading.spaces import load, load_identity, resolve_text, spaces_in

__all__ = ["load", "load_identity", "resolve_text", "spaces_in"]
