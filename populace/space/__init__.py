"""A space at work: definitions and lake together, and the stages composed over them.

Tasks and the command line both call these modules, so that nothing is orchestrated twice.
`opening` opens a space, `archive` looks at what a source holds, `replay` brings it into the lake,
`recompute` makes a run of it, `views` answers questions about the published run.
"""

from populace.space.opening import OpenSpace, open_space

__all__ = ["OpenSpace", "open_space"]
