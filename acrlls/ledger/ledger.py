"""The ledger: every claim of the paper, what checks it, and what came out.

A *claim* is a number or a statement of ``paper.yml``; ``claims.yml`` names its checks and their
arguments.  A *check* is a function that asks one question in one of three ways: does the claim
**follow** from the paper's own other numbers; do the recorded runs **reproduce** it, with an
interval; does it stand out from **noise**.  It returns whether it holds, or another verdict, and
the evidence.  A claim may have several; the one that heads its row is the first of
:data:`VERDICTS` among them.

>>> entry = Ledger(Facts(resamples=20))["share.Normal"]
>>> entry.verdict, entry.outcomes["equals"].evidence
('does not follow', '10,192 / 21,165 = 48.15 %.')
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from string import Template

import pandas as pd

from acrlls.ledger import follows, noise, reproduced
from acrlls.ledger import verdicts as V
from acrlls.ledger.facts import Claim, Facts, NotRecorded, Outcome
from acrlls.paper import NUMBERS, PUBLISHED, Inconsistent

# Each way to check a claim: what its checks mean by no, by yes, and by published numbers that
# contradict each other or runs that are not recorded.
WAYS = {
    follows: (V.CONTRARY, V.FOLLOWS, V.CONTRARY),
    reproduced: (V.DIFFERS, V.REPRODUCED, V.UNCHECKABLE),
    noise: (V.NOISE, V.STANDS_OUT, V.UNCHECKABLE),
}
CHECKS = {check.__name__: check for way in WAYS for check in way.CHECKS}
PLACES = tuple(PUBLISHED["places"])
MAIN: dict[str, Mapping] = V.RULES["main"]


def way_of(name: str) -> str:
    """``"follows"``, ``"reproduced"`` or ``"noise"``."""
    return CHECKS[name].__module__.rpartition(".")[2]


def question(name: str) -> str:
    """What a check asks."""
    return inspect.getdoc(CHECKS[name]).splitlines()[0]


def _filled(arguments, key: str):
    """Arguments with ``$row``, ``$column`` and ``$name`` replaced by what they are of a key."""
    parts = {"row": key.split(".")[1], "column": key.rsplit(".", 1)[-1]}
    filled = Template(json.dumps(arguments)).substitute(parts, name=key.replace(".", "_"))
    return json.loads(filled)


def _claims() -> dict[str, Claim]:
    rows = [(n.key, n.printed, n.where, n.what) for n in NUMBERS.values()]
    rows += [(key, quote, where, "") for key, (quote, where) in PUBLISHED["statements"].items()]
    rows.sort(key=lambda row: PLACES.index(row[2].split("; ")[0]))
    weights = {pattern: weight for weight, ps in V.RULES["weights"].items() for pattern in ps}
    claims = {}
    for key, *rest in rows:

        def of(rules, key=key):
            fits = {ps: any(fnmatchcase(key, p) for p in ps.split(", ")) for ps in rules}
            return [rule for patterns, rule in rules.items() if fits[patterns]]

        checks = {name: a for given in of(V.RULES["checks"]) for name, a in given.items()}
        weight = "main" if key in MAIN else next(iter(of(weights)), "result")
        reason = next(iter(of(V.RULES["unchecked"])), None)
        claims[key] = Claim(key, *rest, weight, _filled(checks, key), reason)
    return claims


CLAIMS: dict[str, Claim] = _claims()  # in the paper's order


@dataclass(frozen=True)
class Entry:
    """A claim with the outcomes of its checks by name."""

    claim: Claim
    outcomes: Mapping[str, Outcome]

    @property
    def verdict(self) -> str:
        """The verdict that heads the row: the first of :data:`VERDICTS` among the outcomes."""
        return min(self.verdicts, key=V.VERDICTS.index)

    @property
    def verdicts(self) -> list[str]:
        """All verdicts, each once; ``not checkable`` where nothing was checked."""
        return list(dict.fromkeys(o.verdict for o in self.outcomes.values())) or [V.UNCHECKABLE]


class Ledger(Mapping):
    """Entries by the key of their claim, judged by the ``facts`` when first asked for; without
    facts by the published numbers and the project's records."""

    def __init__(self, facts: Facts | None = None):
        self.facts, self._entries = facts or Facts(), {}

    def __getitem__(self, key: str) -> Entry:
        if key not in self._entries:
            names = [name for name in CHECKS if name in CLAIMS[key].checks]
            outcomes = {name: judge(self.facts, CLAIMS[key], name) for name in names}
            self._entries[key] = Entry(CLAIMS[key], outcomes)
        return self._entries[key]

    def __iter__(self):
        return iter(CLAIMS)

    def __len__(self) -> int:
        return len(CLAIMS)

    @cached_property
    def counts(self) -> pd.Series:
        """How many claims each verdict heads, in the order of :data:`VERDICTS`."""
        heads = pd.Series([entry.verdict for entry in self.values()])
        return heads.value_counts().reindex(V.VERDICTS, fill_value=0)

    def summary(self) -> str:
        """How many of the main claims our runs reproduce, and how many have each verdict."""
        by = {key: given["by"] for key, given in MAIN.items()}
        tried = sum(way_of(check) == "reproduced" for check in by.values())
        main = pd.Series([self[key].outcomes[check].verdict for key, check in by.items()])
        main = main.value_counts().reindex(V.VERDICTS, fill_value=0)
        told = ", ".join(f"*{verdict}* {n}" for verdict, n in main.items() if n)
        ours, contrary = (main[verdict] or "none" for verdict in (V.REPRODUCED, V.DIFFERS))
        compared = {"measure", "measured_gain", "scale"}
        numbers = sum(not compared.isdisjoint(claim.checks) for claim in CLAIMS.values())
        return (
            f"**Of the {len(MAIN)} main claims our runs reproduce {ours} and contradict "
            f"{contrary}; by verdict: {told}.** A number is contradicted only where a run with "
            "another seed would not show it in 95 % of cases, which few seeds leave wide. Runs can "
            f"repeat {tried} of the main claims. Of the {numbers} numbers of all claims that our "
            f"runs are compared with, about {0.05 * numbers:.0f} would differ by chance alone."
        )

    def search(
        self, *words: str, verdict: str | None = None, weight: str | None = None
    ) -> list[Entry]:
        """Entries that hold all words, in the claim or its evidence, and carry the verdict and the
        weight."""

        def found(e: Entry) -> bool:
            c, evidence = e.claim, [o.evidence for o in e.outcomes.values()]
            text = " ".join([c.key, c.text, c.where, c.what, *e.verdicts, *evidence]).lower()
            return verdict in (None, *e.verdicts) and all(w.lower() in text for w in words)

        keys = [key for key, claim in CLAIMS.items() if weight in (None, claim.weight)]
        return [self[key] for key in keys if found(self[key])]


def judge(facts: Facts, claim: Claim, name: str) -> Outcome:
    """What a check says of a claim; published numbers that contradict each other are a verdict."""
    contrary, holds, undecided = WAYS[inspect.getmodule(CHECKS[name])]
    try:
        found, text = CHECKS[name](facts, claim, **claim.checks[name])
    except (Inconsistent, NotRecorded) as error:
        found, text = undecided, f"{str(error)[0].upper()}{str(error)[1:]}."
    verdict = found if isinstance(found, str) else holds if found else contrary
    text = re.sub(r"(?<=\d)%", " %", text)
    return Outcome(verdict, re.sub(r"(?<![\w.])-(?=\d)", "−", text))
