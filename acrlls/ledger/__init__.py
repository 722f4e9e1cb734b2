"""Every claim of the paper, what checks it, and what came out."""

from acrlls.ledger.facts import VERDICTS, Facts
from acrlls.ledger.ledger import CLAIMS, Ledger, audit
from acrlls.ledger.noise import (
    COMMON,
    PAIRS,
    accuracy_curve,
    common,
    ece_tests,
    gap_floors,
    gap_tests,
)
from acrlls.ledger.render import anchor, html, text

__all__ = [
    "CLAIMS",
    "COMMON",
    "PAIRS",
    "VERDICTS",
    "Facts",
    "Ledger",
    "accuracy_curve",
    "anchor",
    "audit",
    "common",
    "ece_tests",
    "gap_floors",
    "gap_tests",
    "html",
    "text",
]
