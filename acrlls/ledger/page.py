"""The ledger as text for a terminal, and the tables and computed sentences of its page."""

import re
import textwrap
from collections.abc import Iterable
from html import escape

import pandas as pd

from acrlls.ledger import verdicts as V
from acrlls.ledger.ledger import MAIN, PLACES, Entry, Ledger, question, way_of

WIDTH = 100  # columns of a terminal
_WRAPPED = {"text-align": "left", "white-space": "normal"}


def text(entries: Iterable[Entry], evidence: bool = False) -> str:
    """Entries by their verdict, in lines of at most 100 columns; with their evidence if asked."""
    lines = []
    for e in sorted(entries, key=lambda e: V.VERDICTS.index(e.verdict)):
        c = e.claim
        said = f"{e.verdict}: {c.key}: {c.what} {c.text} ({c.where})"
        lines += textwrap.wrap(said, WIDTH, subsequent_indent=" " * 4)
        told = [f"{way_of(name)}: {o.verdict}. {o.evidence}" for name, o in e.outcomes.items()]
        for sentence in (told or [f"{V.UNCHECKABLE}. {c.reason}."]) if evidence else []:
            lines += textwrap.wrap("    " + sentence, WIDTH, subsequent_indent=" " * 6)
    return "\n".join(lines)


def html(entries: Iterable[Entry]) -> str:
    """Entries as a table whose rows open to show their evidence and have the anchor of
    :func:`anchor`.  ``book/_static/ledger.js`` lets a reader sort and filter it; without the script
    everything is there all the same."""
    rows = "".join(_row(place, e) for place, e in enumerate(entries))
    rows = re.sub(r"`([^`]+)`", r"<code>\1</code>", rows)
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
        found = f"<dt>Not checked</dt><dd>{escape(c.reason[0].upper() + c.reason[1:])}.</dd>"
    claim = f"<b>{escape(c.text)}</b> {escape(c.what)}" if c.what else f"“{escape(c.text)}”"
    others = "".join(f"<small>{_badge(v)}</small>" for v in e.verdicts if v != e.verdict)
    where = escape(c.where).replace("Section ", "").replace("-", "&#8209;")
    count = f"{len(e.outcomes)} check{'s' * (len(e.outcomes) != 1)}" if e.outcomes else "why none"
    return (
        f'<tr id="{anchor(c.key)}" data-weight="{c.weight}" '
        f'data-verdicts="{escape("|".join(e.verdicts))}">'
        f'<th scope="row" data-sort="{place:04d}">{claim}</th>'
        f'<td data-sort="{PLACES.index(c.where.split("; ")[0]):02d}">{where}</td>'
        f'<td data-sort="{V.VERDICTS.index(e.verdict)}">{_badge(e.verdict)}{others}</td>'
        f"<td><details><summary>{count}</summary><dl>{found}</dl></details></td></tr>"
    )


def anchor(key: str) -> str:
    """Fragment of a claim's row in the page, such as ``claim-share-normal``."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", key.lower())


def _badge(verdict: str) -> str:
    return f'<span class="verdict v{V.VERDICTS.index(verdict)}">{escape(verdict)}</span>'


def main_claims(claims: Ledger):
    """The ten main claims in the paper's words with the verdict and the first sentence of the
    evidence of the check that decides, and links to the section of the book and the row of the
    ledger, which has all of it, from a page above both; as a Styler."""
    rows, folder = [], "sections/"
    for key, given in MAIN.items():
        claim, outcome = claims[key].claim, claims[key].outcomes[given["by"]]
        quote = f"{claim.what}: {claim.text}" if claim.what else f"“{claim.text}”"
        links = f'<a href="{folder}{given["section"]}.html">section</a>, '
        links += f'<a href="{folder}11_ledger.html#{anchor(key)}">row</a>'
        first = re.match(r".*?\.(?= |$)", outcome.evidence)[0]
        told = (quote, claim.where.replace("Section ", ""), outcome.verdict, first)
        rows.append([*(escape(text).replace("&#x27;", "’") for text in told), links])
    columns = ["claim", "where", "verdict", "evidence", "more"]
    frame = pd.DataFrame(rows, range(1, len(rows) + 1), columns)
    styler = frame.style.set_properties(**_WRAPPED)
    return styler.set_table_attributes('class="cards"')  # rows become cards on a phone


def verdicts(claims: Ledger):
    """How many claims each verdict heads, and what the verdict means, as a Styler."""
    counts = claims.counts[claims.counts > 0]
    frame = pd.DataFrame({"claims": counts, "meaning": pd.Series(V.MEANING).reindex(counts.index)})
    styler = frame.style.set_properties(subset=["meaning"], **_WRAPPED)
    return styler.set_table_styles([{"selector": "th.col1", "props": "text-align: left"}])
