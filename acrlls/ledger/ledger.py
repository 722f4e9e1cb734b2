"""The ledger: every claim of the paper, what checks it, and what came out.

A *claim* is a number or a statement of ``paper.yml``, which also names its checks and their
arguments.  A *check* is a function of :data:`CHECKS` that asks one question in one of three ways:
does the claim **follow** from the paper's own other numbers; do the recorded runs **reproduce** it,
with an interval; does it stand out from **noise**.  It returns a verdict and the evidence for it.
A claim may have several; the one that heads its row is the first of :data:`VERDICTS` among them.

>>> entry = Ledger(Facts(resamples=20))["share.Normal"]
>>> entry.verdict, entry.outcomes["ratio"].evidence
('does not follow', '10,192 of 21,165 is 48.155 %.')
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import pandas as pd

from acrlls.ledger import follows, noise, reproduced
from acrlls.ledger.facts import CONTRARY, UNCHECKABLE, VERDICTS, Claim, Facts, Outcome
from acrlls.paper import NUMBERS, PUBLISHED, STATEMENTS, Inconsistent

# From the paper itself; by the recorded runs; against sampling noise.
WAYS = {
    "follows": {
        "sum": follows.sum_of,
        "ratio": follows.ratio,
        "same": follows.same,
        "extreme": follows.extreme,
        "bounded": follows.bounded,
        "in_order": follows.in_order,
        "equal": follows.equal,
        "one_of": follows.one_of,
        "product_of_counts": follows.product_of_counts,
        "whole_number": follows.whole_number,
        "split_part": follows.split_part,
        "split_support": follows.split_support,
        "inverse_frequency": follows.inverse_frequency,
        "sorted_losses": follows.sorted_losses,
        "lowest_loss": follows.lowest_loss,
        "best_region": follows.best_region,
        "none_beyond": follows.none_beyond,
        "best_balance": follows.best_balance,
        "favours_one": follows.favours_one,
        "neutral_scale": follows.neutral_scale,
        "scale_turns_confidence": follows.scale_turns_confidence,
        "scales_below_one": follows.scales_below_one,
        "report_cell": follows.report_cell,
        "missed": follows.missed,
        "gain": follows.gain,
        "unpublished_cell": follows.unpublished_cell,
        "mostly_normal": follows.mostly_normal,
        "reduction": follows.reduction,
        "largest_reduction": follows.largest_reduction,
        "below_threshold": follows.below_threshold,
        "strongest": follows.strongest,
        "minority_worse": follows.minority_worse,
        "similar": follows.similar,
        "lowest_everywhere": follows.lowest_everywhere,
        "higher_everywhere": follows.higher_everywhere,
    },
    "reproduced": {
        "setting": reproduced.setting,
        "measure": reproduced.measure,
        "phase1_accuracy": reproduced.phase1_accuracy,
        "measured_gain": reproduced.measured_gain,
        "auc_bound": reproduced.auc_bound,
        "measured_reduction": reproduced.measured_reduction,
        "scale": reproduced.scale,
        "mostly_as_normal": reproduced.mostly_as_normal,
        "viral_as_covid": reproduced.viral_as_covid,
        "negative_logits": reproduced.negative_logits,
        "posthoc": reproduced.posthoc,
        "lower_ece": reproduced.lower_ece,
    },
    "noise": {
        "ece_noise": noise.ece_noise,
        "all_ece_noise": noise.all_ece_noise,
        "gap_noise": noise.gap_noise,
        "all_gap_noise": noise.all_gap_noise,
        "accuracy_noise": noise.accuracy_noise,
        "loss_noise": noise.loss_noise,
        "scale_noise": noise.scale_noise,
    },
}
CHECKS = {name: check for checks in WAYS.values() for name, check in checks.items()}
PLACES = tuple(PUBLISHED["places"])


def question(name: str) -> str:
    """What a check asks."""
    return inspect.getdoc(CHECKS[name]).splitlines()[0]


def way_of(name: str) -> str:
    return next(way for way, checks in WAYS.items() if name in checks)


def _filled(arguments, key: str):
    """Arguments with ``{row}`` and ``{column}`` replaced by the parts of a claim's key."""
    if isinstance(arguments, Mapping):
        return {name: _filled(value, key) for name, value in arguments.items()}
    if isinstance(arguments, list):
        return [_filled(value, key) for value in arguments]
    if isinstance(arguments, str):
        return arguments.format(row=key.split(".")[1], column=key.rsplit(".", 1)[-1])
    return arguments


def _claims() -> dict[str, Claim]:
    rows = [(n.key, n.printed, n.where, n.what) for n in NUMBERS.values()]
    rows += [(s.key, s.quote, s.where, "") for s in STATEMENTS.values()]
    rows.sort(key=lambda row: PLACES.index(row[2].split("; ")[0]))
    claims = {}
    for key, *rest in rows:
        checks = {}
        for patterns, given in PUBLISHED["checks"].items():
            if any(fnmatchcase(key, pattern) for pattern in patterns.split(", ")):
                checks |= {name: _filled(values or {}, key) for name, values in given.items()}
        reasons = (w for p, w in PUBLISHED["unchecked"].items() if fnmatchcase(key, p))
        claims[key] = Claim(key, *rest, checks, next(reasons, None))
    return claims


CLAIMS: dict[str, Claim] = _claims()  # in the paper's order


def audit(claims: Mapping[str, Claim] = CLAIMS, checks: Mapping = CHECKS) -> list[str]:
    """What is amiss: claims without a check or a reason, checks without a claim, unknown names."""
    found = []
    for c in claims.values():
        if not c.checks and not c.reason:
            found.append(f"claim {c.key} has no check and no reason for having none")
        if c.checks and c.reason:
            found.append(f"claim {c.key} has checks and a reason for having none")
        found += [
            f"claim {c.key} asks for {n}, which is no check" for n in c.checks if n not in checks
        ]
    used = {name for claim in claims.values() for name in claim.checks}
    return found + [f"check {name} has no claim" for name in checks if name not in used]


@dataclass(frozen=True)
class Entry:
    """A claim with the outcomes of its checks by name, in the order of :data:`WAYS`."""

    claim: Claim
    outcomes: Mapping[str, Outcome]

    @property
    def verdict(self) -> str:
        """The verdict that heads the row: the first of :data:`VERDICTS` among the outcomes."""
        return min(self.verdicts, key=VERDICTS.index)

    @property
    def verdicts(self) -> list[str]:
        """All verdicts, each once; ``not checkable`` where nothing was checked."""
        return list(dict.fromkeys(o.verdict for o in self.outcomes.values())) or [UNCHECKABLE]


class Ledger(Mapping):
    """Entries by the key of their claim, judged when first asked for.

    Args:
        facts: what is looked at; None takes the published numbers and the project's records.
    """

    def __init__(self, facts: Facts | None = None, claims: Mapping[str, Claim] = CLAIMS):
        self.facts, self.claims, self._entries = facts or Facts(), claims, {}

    def __getitem__(self, key: str) -> Entry:
        if key not in self._entries:
            claim = self.claims[key]
            names = [name for name in CHECKS if name in claim.checks]
            outcomes = {name: judge(self.facts, claim, name) for name in names}
            self._entries[key] = Entry(claim, outcomes)
        return self._entries[key]

    def __iter__(self):
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    @cached_property
    def counts(self) -> pd.Series:
        """How many claims each verdict heads, in the order of :data:`VERDICTS`."""
        heads = pd.Series([entry.verdict for entry in self.values()])
        return heads.value_counts().reindex(VERDICTS, fill_value=0)

    def summary(self) -> str:
        """A sentence with the count of each verdict that heads a claim."""
        parts = [f"{n} {verdict}" for verdict, n in self.counts.items() if n]
        text = f"{', '.join(parts[:-1])} and {parts[-1]}" if parts[1:] else parts[0]
        return f"Of {len(self)} claims, by the verdict that heads each: {text}."

    def search(self, *words: str, verdict: str | None = None) -> list[Entry]:
        """Entries that hold all words, in the claim or its evidence, and carry the verdict."""

        def holds(e: Entry) -> bool:
            c = e.claim
            evidence = [o.evidence for o in e.outcomes.values()]
            text = " ".join([c.key, c.text, c.where, c.what, *e.verdicts, *evidence]).lower()
            return all(w.lower() in text for w in words) and verdict in (None, *e.verdicts)

        return [e for e in self.values() if holds(e)]


def judge(facts: Facts, claim: Claim, name: str) -> Outcome:
    """What a check says of a claim; published numbers that contradict each other are a verdict."""
    try:
        found = CHECKS[name](facts, claim, **claim.checks[name])
    except Inconsistent as error:
        verdict = CONTRARY if way_of(name) == "follows" else UNCHECKABLE
        found = Outcome(verdict, f"{str(error)[0].upper()}{str(error)[1:]}.")
    text = re.sub(r"(?<=\d)%", " %", found.evidence)
    return Outcome(found.verdict, re.sub(r"(?<![\w.])-(?=\d)", "−", text))
