"""The ledger: every claim of the paper, what checks it, and what came out.

A *claim* is a number or a statement of ``paper.yml``.  A *check* is a small pure function that asks one question in
one of three ways: does the claim **follow** from the paper's own other numbers; do the recorded runs **reproduce**
it, with an interval; does it stand out from **noise**.  Each gives a verdict and the arithmetic or the figures behind
it.  A claim may carry several; the one that heads its row is the first of :data:`VERDICTS` among them, which are
ordered from what a reader must know first to what says least.

>>> ledger = Ledger(Facts(resamples=20))
>>> ledger["share.Normal"].verdict, ledger["share.Normal"].outcomes["share_of_total"].evidence
('does not follow', '10,192 of 21,165 is 48.155%.')
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from html import escape

import pandas as pd

# The modules of checks are imported for what they register.
from acrlls.ledger import follows as _follows  # noqa: F401
from acrlls.ledger import follows_results as _follows_results  # noqa: F401
from acrlls.ledger import noise as _noise  # noqa: F401
from acrlls.ledger import reproduced as _reproduced  # noqa: F401
from acrlls.ledger.facts import (
    CHECKS,
    CONTRARY,
    UNCHECKABLE,
    VERDICTS,
    WAYS,
    Check,
    Claim,
    Facts,
    Outcome,
)
from acrlls.ledger.noise import (
    COMMON,
    accuracy_curve,
    common,
    correlations,
    ece_tests,
    floors,
    gap_floors,
    gap_tests,
)
from acrlls.paper import paper  # noqa: F401

__all__ = [
    "CHECKS",
    "CLAIMS",
    "COMMON",
    "VERDICTS",
    "WAYS",
    "Check",
    "Claim",
    "Entry",
    "Facts",
    "Ledger",
    "Outcome",
    "accuracy_curve",
    "anchor",
    "audit",
    "common",
    "correlations",
    "ece_tests",
    "floors",
    "gap_floors",
    "gap_tests",
    "html",
    "text",
]


PLACES = (
    "Abstract",
    "Section II-A",
    "Section II-B",
    "Section II-C",
    "Section II-D",
    "Algorithm 1",
    "Section III-A",
    "Section III-B",
    "Table I",
    "Section IV-A",
    "Table II",
    "Section IV-B",
    "Table III",
    "Section IV-C",
    "Section IV-C, Fig. 2",
    "Section IV-D",
    "Table IV",
    "Table V",
    "Section IV-E, Fig. 3",
    "Section V",
)


def _claims() -> dict[str, Claim]:
    published = paper.PUBLISHED

    def named(patterns: Mapping[str, object], key: str) -> list[str]:
        return [name for name, keys in patterns.items() if any(fnmatchcase(key, k) for k in keys)]

    def reason(key: str) -> str | None:
        return next(
            (why for keys, why in published["unchecked"].items() if fnmatchcase(key, keys)), None
        )

    rows = [(n.key, n.printed, n.where, n.what) for n in paper.NUMBERS.values()]
    rows += [(s.key, s.quote, s.where, "") for s in paper.STATEMENTS.values()]
    rows.sort(key=lambda row: PLACES.index(row[2].split("; ")[0]))
    return {
        key: Claim(key, *rest, tuple(named(published["checks"], key)), reason(key))
        for key, *rest in rows
    }


CLAIMS: dict[str, Claim] = _claims()  # in the paper's order


def audit(claims: Mapping[str, Claim] = CLAIMS, checks: Mapping[str, Check] = CHECKS) -> list[str]:
    """What is amiss: claims without a check or a reason, checks without a claim, names that nothing has."""
    used = {name for claim in claims.values() for name in claim.checks}
    return [
        *(
            f"claim {c.key} has no check and no reason for having none"
            for c in claims.values()
            if not c.checks and not c.reason
        ),
        *(
            f"claim {c.key} has checks and a reason for having none"
            for c in claims.values()
            if c.checks and c.reason
        ),
        *(f"check {name} has no claim" for name in checks if name not in used),
        *(
            f"claim {c.key} asks for {name}, which is no check"
            for c in claims.values()
            for name in c.checks
            if name not in checks
        ),
    ]


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

    def by_way(self, way: str) -> str:
        """The verdict of one way of checking; empty where none was tried."""
        found = [o.verdict for name, o in self.outcomes.items() if CHECKS[name].way == way]
        return min(found, key=VERDICTS.index, default="")


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
            names = sorted(
                (n for n in claim.checks if n in CHECKS), key=lambda n: WAYS.index(CHECKS[n].way)
            )
            self._entries[key] = Entry(
                claim, {name: self._judge(claim, CHECKS[name]) for name in names}
            )
        return self._entries[key]

    def __iter__(self):
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def _judge(self, claim: Claim, check: Check) -> Outcome:
        try:
            return check.function(claim, self.facts)
        except paper.Inconsistent as error:
            return Outcome(
                CONTRARY if check.way == "follows" else UNCHECKABLE,
                f"{str(error)[0].upper()}{str(error)[1:]}.",
            )

    @cached_property
    def counts(self) -> pd.Series:
        """How many claims each verdict heads, in the order of :data:`VERDICTS`."""
        return (
            pd.Series([entry.verdict for entry in self.values()])
            .value_counts()
            .reindex(VERDICTS, fill_value=0)
        )

    def summary(self) -> str:
        """A sentence with the count of each verdict."""
        parts = [f"{n} {verdict}" for verdict, n in self.counts.items()]
        return f"Of {len(self)} claims, by the verdict that heads each: {', '.join(parts[:-1])} and {parts[-1]}."

    def frame(self) -> pd.DataFrame:
        """A row a claim: text, where, what, verdict, and the verdict in each of :data:`WAYS`."""
        rows = {
            key: {
                "text": e.claim.text,
                "where": e.claim.where,
                "what": e.claim.what,
                "verdict": e.verdict,
                **{way: e.by_way(way) for way in WAYS},
            }
            for key, e in self.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")

    def search(self, *words: str, verdict: str | None = None) -> list[Entry]:
        """Entries that hold all words somewhere, in the claim or in its evidence, and carry the verdict."""

        def holds(e: Entry) -> bool:
            c = e.claim
            everything = " ".join(
                [
                    c.key,
                    c.text,
                    c.where,
                    c.what,
                    *e.verdicts,
                    *(o.evidence for o in e.outcomes.values()),
                ]
            )
            return all(w.lower() in everything.lower() for w in words) and (
                verdict is None or verdict in e.verdicts
            )

        return [e for e in self.values() if holds(e)]


def text(entries: Iterable[Entry], evidence: bool = False, width: int = 100) -> str:
    """Entries for a terminal, under the verdict that heads them, a line each; with their evidence below if asked."""
    lines, entries = [], list(entries)
    for verdict in VERDICTS:
        group = [e for e in entries if e.verdict == verdict]
        if group:
            lines += ["", f"{verdict} ({len(group)})"]
        for e in group:
            c = e.claim
            line = f"  {c.key:<36} {c.text + '  ' + c.what if c.what else c.text}"
            places = f"  {c.where}"
            lines.append(_cut(line, width - len(places)) + places)
            if evidence:
                found = [(CHECKS[name].way, o) for name, o in e.outcomes.items()] or [
                    ("", Outcome(UNCHECKABLE, f"{c.reason}."))
                ]
                for way, o in found:
                    label = ": ".join(filter(None, [way, o.verdict]))
                    lines += textwrap.wrap(
                        f"{label}. {o.evidence}",
                        width,
                        initial_indent="      ",
                        subsequent_indent="        ",
                    )
    return "\n".join(lines[1:])


def _cut(line: str, width: int) -> str:
    return f"{line:<{width}}" if len(line) <= width else line[: width - 1] + "…"


def html(entries: Iterable[Entry]) -> str:
    """Entries as a table whose rows open to show their evidence; ``book/_static/ledger.js`` lets a reader sort and
    filter it, and without it everything is there all the same.  A row has the anchor of :func:`anchor`."""
    rows = []
    for place, e in enumerate(entries):
        c = e.claim
        found = (
            "".join(
                f"<dt>{escape(CHECKS[name].title)} <b>{escape(o.verdict)}</b></dt><dd>{escape(o.evidence)}</dd>"
                for name, o in e.outcomes.items()
            )
            or f"<dt>Not checked</dt><dd>{escape(c.reason[0].upper() + c.reason[1:])}.</dd>"
        )
        claim = f"<b>{escape(c.text)}</b> {escape(c.what)}" if c.what else f"“{escape(c.text)}”"
        others = "".join(f"<small>{_badge(v)}</small>" for v in e.verdicts if v != e.verdict)
        rows.append(
            f'<tr id="{anchor(c.key)}" data-verdicts="{escape("|".join(e.verdicts))}">'
            f'<th scope="row" data-sort="{place:04d}">{claim}</th>'
            f'<td data-sort="{PLACES.index(c.where.split("; ")[0]):02d}">{_short(c.where)}</td>'
            f'<td data-sort="{VERDICTS.index(e.verdict)}">{_badge(e.verdict)}{others}</td>'
            f"<td><details><summary>{len(e.outcomes) or 'no'} check{'s' * (len(e.outcomes) != 1)}</summary>"
            f"<dl>{found}</dl></details></td></tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Claim", "Where", "Verdict", "Evidence")
    )
    return (
        '<div class="ledger"><div class="ledger-rows" tabindex="0" role="region" aria-label="The ledger">'
        "<table><caption>Claims in the order of the paper</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def anchor(key: str) -> str:
    """Fragment of a claim's row in the page, such as ``claim-share-normal``."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", key.lower())


def _short(where: str) -> str:
    """Places without the word Section and with hyphens that do not break."""
    return escape(where).replace("Section ", "").replace("-", "&#8209;")


def _badge(verdict: str) -> str:
    return f'<span class="verdict v{VERDICTS.index(verdict)}">{escape(verdict)}</span>'
