"""The ledger as text for a terminal and as a table for a page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from html import escape

from acrlls.ledger.facts import UNCHECKABLE, VERDICTS
from acrlls.ledger.ledger import PLACES, WAY_OF, Entry, question

WIDTH = 100  # columns of a terminal


def text(entries: Iterable[Entry], evidence: bool = False) -> str:
    """Entries under the verdict that heads them, a line of 100 columns each; with their evidence
    if asked."""
    lines, entries = [], list(entries)
    for verdict in VERDICTS:
        group = [e for e in entries if e.verdict == verdict]
        lines += ["", f"{verdict} ({len(group)})"] if group else []
        for e in group:
            c, room = e.claim, WIDTH - len(e.claim.where) - 2
            line = f"  {c.key:<36} {c.text + '  ' + c.what if c.what else c.text}"
            line = f"{line:<{room}}" if len(line) <= room else line[: room - 1] + "…"
            lines.append(f"{line}  {c.where}")
            lines += _evidence(e) if evidence else []
    return "\n".join(lines[1:])


def _evidence(e: Entry) -> list[str]:
    found = [f"{WAY_OF[name]}: {o.verdict}. {o.evidence}" for name, o in e.outcomes.items()]
    wrap = textwrap.TextWrapper(WIDTH, initial_indent=6 * " ", subsequent_indent=8 * " ")
    found = found or [f"{UNCHECKABLE}. {e.claim.reason}."]
    return [line for sentence in found for line in wrap.wrap(sentence)]


def html(entries: Iterable[Entry]) -> str:
    """Entries as a table whose rows open to show their evidence.

    ``book/_static/ledger.js`` lets a reader sort and filter it; without the script everything is
    there all the same.  A row has the anchor of :func:`anchor`.
    """
    rows = "".join(_row(place, e) for place, e in enumerate(entries))
    names = ("Claim", "Where", "Verdict", "Evidence")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<div class="ledger"><div class="ledger-rows" tabindex="0" role="region" '
        'aria-label="The ledger"><table><caption>Claims in the order of the paper</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>"
    )


def _row(place: int, e: Entry) -> str:
    c = e.claim
    found = "".join(
        f"<dt>{escape(question(name))} <b>{escape(o.verdict)}</b></dt><dd>{escape(o.evidence)}</dd>"
        for name, o in e.outcomes.items()
    )
    if c.reason:
        reason = escape(c.reason[0].upper() + c.reason[1:])
        found = f"<dt>Not checked</dt><dd>{reason}.</dd>"
    claim = f"<b>{escape(c.text)}</b> {escape(c.what)}" if c.what else f"“{escape(c.text)}”"
    others = "".join(f"<small>{_badge(v)}</small>" for v in e.verdicts if v != e.verdict)
    where = escape(c.where).replace("Section ", "").replace("-", "&#8209;")
    count = f"{len(e.outcomes) or 'no'} check{'s' * (len(e.outcomes) != 1)}"
    return (
        f'<tr id="{anchor(c.key)}" data-weight="{c.weight}" '
        f'data-verdicts="{escape("|".join(e.verdicts))}">'
        f'<th scope="row" data-sort="{place:04d}">{claim}</th>'
        f'<td data-sort="{PLACES.index(c.where.split("; ")[0]):02d}">{where}</td>'
        f'<td data-sort="{VERDICTS.index(e.verdict)}">{_badge(e.verdict)}{others}</td>'
        f"<td><details><summary>{count}</summary><dl>{found}</dl></details></td></tr>"
    )


def anchor(key: str) -> str:
    """Fragment of a claim's row in the page, such as ``claim-share-normal``."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", key.lower())


def _badge(verdict: str) -> str:
    return f'<span class="verdict v{VERDICTS.index(verdict)}">{escape(verdict)}</span>'
