"""Every claim of the paper, what checks it, and what came out."""

from acrlls.ledger import told
from acrlls.ledger.facts import VERDICTS, WEIGHTS, Facts
from acrlls.ledger.ledger import CLAIMS, MAIN, Ledger, audit
from acrlls.ledger.noise import accuracy_curve, ece_tests, gap_floors
from acrlls.ledger.render import anchor, html, text

__all__ = [
    "CLAIMS",
    "MAIN",
    "VERDICTS",
    "WEIGHTS",
    "Facts",
    "Ledger",
    "accuracy_curve",
    "anchor",
    "audit",
    "ece_tests",
    "gap_floors",
    "html",
    "text",
    "told",
]
