"""Definition files to frozen nodes, with every problem of a space reported at once.

`documents` reads YAML and remembers lines, `shapes` says what may be written, `spaces` makes the
nodes and checks what one file alone cannot show.
"""

from populace.loading.spaces import load, resolve_text, spaces_in

__all__ = ["load", "resolve_text", "spaces_in"]
