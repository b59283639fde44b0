"""The sequential rule of identity, row by row in plain Python: a transcription of the pseudo-code of I-40 to I-50.

It shares no line with the engine. Identifiers are (type, value), profiles are dictionaries, and every event is
resolved by looking at all of them. What the pseudo-code leaves open is marked.
"""

from dataclasses import dataclass, field

DAYS = {"daily": 1, "weekly": 7, "monthly": 30, "annually": 365}
DAY = 86_400_000_000


@dataclass
class Config:
    """`limits` is type → (most, period), `priority` lists types, `blocked` are values, `forbidden` pairs."""

    priority: list
    limits: dict
    blocked: set = field(default_factory=set)
    forbidden: list = field(default_factory=list)
    mappings: int = 1000
    merges: int = 100
    pairs: bool = False  # whether streams draw forbidden pairs


@dataclass
class Happening:
    """One event: when, its id, and what it carries."""

    time: int
    received: int
    message: str
    carried: frozenset


class Oracle:
    """All that the rule makes of events."""

    def __init__(self, config, events):
        self.config = config
        self.profiles = []  # each {"added": {identifier: (time, message)}, "parent", "merges", "name", "created"}
        self.holder = {}  # identifier → index of the profile that it was mapped to
        self.merged = {}  # index → (time, message)
        self.log = []  # (kind, identifier, index, event)
        self.unmatched = []
        for event in sorted(events, key=lambda each: (each.time, each.received, each.message)):
            self.resolve(event)

    # --- the pseudo-code ----------------------------------------------------------------------

    def resolve(self, event):
        carried = {each for each in event.carried if each[0] in self.config.priority}
        chosen = {each for each in carried if each[1] not in self.config.blocked}
        if not chosen:
            self.unmatched.append(event)
            return
        demoted = []
        while True:
            known = {self.canonical(self.holder[each]) for each in chosen if each in self.holder}
            final = set(chosen)
            for each in known:
                final |= set(self.profiles[each]["added"])
            violated = self.violated(final, known, event.time)
            if not violated or len(chosen) == 1:
                break
            weakest = max(chosen, key=self.rank)
            demoted.append((self.reason(violated, weakest), weakest))
            chosen = chosen - {weakest}
        at = self.place(event, chosen, known, demoted)
        for identifier in sorted(chosen - set(self.holder), key=self.rank):
            if len(self.profiles[at]["added"]) >= self.config.mappings:
                demoted.append(("mapping_limit_exceeded", identifier))
                continue
            self.profiles[at]["added"][identifier] = (event.time, event.message)
            self.holder[identifier] = at
        self.log += [(kind, identifier, at, event) for kind, identifier in demoted]

    def place(self, event, chosen, known, demoted):
        if not known:
            strongest = min(chosen, key=self.rank)
            self.profiles.append({"added": {}, "parent": None, "merges": 0, "name": strongest, "created": event.time})
            return len(self.profiles) - 1
        if len(known) == 1:
            return min(known)
        refused = self.refused(known)
        if refused:
            strongest = min((each for each in chosen if each in self.holder), key=self.rank)
            at = self.canonical(self.holder[strongest])
            elsewhere = [each for each in chosen if each in self.holder and self.canonical(self.holder[each]) != at]
            demoted += [(refused, each) for each in elsewhere]
            return at
        winner = min(known)
        for loser in known - {winner}:
            self.profiles[loser]["parent"] = winner
            self.profiles[winner]["added"] |= self.profiles[loser]["added"]
            self.profiles[winner]["merges"] += self.profiles[loser]["merges"] + 1
            self.merged[loser] = (event.time, event.message)
        return winner

    def refused(self, known):
        if sum(self.profiles[each]["merges"] for each in known) + len(known) - 1 > self.config.merges:
            return "merge_limit_exceeded"
        if sum(len(self.profiles[each]["added"]) for each in known) > self.config.mappings:
            return "mapping_limit_exceeded"
        return None

    def violated(self, final, known, now):
        """The types over their limit, or `forbidden`, where no profile that is met is so already."""
        over = []
        for id_type in self.config.priority:
            limit = self.config.limits.get(id_type)
            if limit is None:
                continue
            most, period = limit
            total = self.count(final, id_type, period, now)
            before = [self.count(self.profiles[each]["added"], id_type, period, now) for each in known]
            if total > most and total > max(before, default=0):
                over.append(id_type)
        for one, other in self.config.forbidden:
            held = [self.profiles[each]["added"] for each in known]
            if one in final and other in final and not any(one in each and other in each for each in held):
                over.append("forbidden")
                break
        return over

    def count(self, identifiers, id_type, period, now):
        """Of those with the period only the ones that were added within it; new ones are added now."""
        times = [self.added(each, now) for each in identifiers if each[0] == id_type]
        return len([time for time in times if period == "ever" or time > now - DAYS[period] * DAY])

    def added(self, identifier, now):
        if identifier not in self.holder:
            return now
        return self.profiles[self.canonical(self.holder[identifier])]["added"][identifier][0]

    def reason(self, violated, weakest):
        """Left open there: a demotion is told by the weakest's own type, else by the strongest type over its limit."""
        types = [each for each in violated if each != "forbidden"]
        if not types:
            return "forbidden_pair"
        told = weakest[0] if weakest[0] in types else types[0]
        return "value_limit_exceeded" if self.config.limits[told][1] == "ever" else "time_limit_exceeded"

    def rank(self, identifier):
        return self.config.priority.index(identifier[0]), identifier[1]

    def canonical(self, at):
        while self.profiles[at]["parent"] is not None:
            at = self.profiles[at]["parent"]
        return at

    # --- the tables -------------------------------------------------------------------------------

    def name(self, at):
        return self.profiles[self.canonical(at)]["name"]

    def profile_rows(self):
        return {(each["name"], each["created"]) for each in self.profiles if each["parent"] is None}

    def mapped_rows(self):
        """(profile, identifier, when, by which message)."""
        return {
            (self.name(at), identifier, *self.profiles[self.canonical(at)]["added"][identifier])
            for identifier, at in self.holder.items()
        }

    def merge_rows(self):
        return {(self.profiles[at]["name"], self.name(at), *moment) for at, moment in self.merged.items()}

    def of_set(self, carried):
        """The profile of a set is that of its strongest identifier that is mapped."""
        mapped = [each for each in carried if each in self.holder]
        return self.name(self.holder[min(mapped, key=self.rank)]) if mapped else None

    def violation_rows(self, events):
        """(kind, identifier, profile, message, time), the first of each kind, identifier and profile."""
        found = {}
        for kind, identifier, at, event in self.log:
            found.setdefault((kind, identifier, self.name(at)), event)
        for event in sorted(events, key=lambda each: (each.time, each.received, each.message)):
            usable = {each for each in event.carried if each[0] in self.config.priority}
            for identifier in usable:
                if identifier[1] in self.config.blocked:
                    held = self.of_set(usable - {each for each in usable if each[1] in self.config.blocked})
                    found.setdefault(("value_blocked", identifier, held), event)
        return {(*key, event.message, event.time) for key, event in found.items()}
