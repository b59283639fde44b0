"""Who goes in which lane: nobody is written about by two requests at once."""

from collections.abc import Hashable, Sequence
from zlib import crc32

from populace.destinations.protocol import Limits, Record, Update


def lanes(updates: Sequence[Update], records: Sequence[Record], limits: Limits, count: int) -> list[list[Update]]:
    """Updates in at most `count` lists, in their order; what is about one person is in one list.

    No more lists are made than it takes to send full batches.
    """
    alone = {each.group for each in updates}
    useful = max(-(-len(updates) // limits.updates), len(alone))
    count = min(count, useful)
    if count <= 1:
        return [list(updates)]
    leaders = people(records)
    found: list[list[Update]] = [[] for _ in range(count)]
    for update in updates:
        found[crc32(leaders[update.records[0]].encode()) % count].append(update)
    return [each for each in found if each]


def people(records: Sequence[Record]) -> list[str]:
    """For each record one name of its person; those that share a profile or an identifier have the same.

    After a merge somebody's identifier is taken from one profile and told of another, in one sync: the destination
    knows one person, so they are one.
    """
    leaders: dict[Hashable, Hashable] = {}

    def leader(node: Hashable) -> Hashable:
        while (above := leaders.setdefault(node, node)) != node:
            leaders[node] = node = leaders[above]
        return node

    for record in records:
        leaders[leader((record["id_type"], record["id_value"]))] = leader(record["profile_id"])
    return [str(leader(record["profile_id"])) for record in records]
