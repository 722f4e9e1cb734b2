"""Every claim of the paper, what checks it, and what came out; names with years in brackets are
entries of ``book/references.bib``."""

from acrlls.ledger import page
from acrlls.ledger.facts import WEIGHTS, Facts
from acrlls.ledger.ledger import CLAIMS, MAIN, Ledger
from acrlls.ledger.noise import accuracy_curve, ece_tests
from acrlls.ledger.page import anchor, html, text
from acrlls.ledger.verdicts import VERDICTS

__all__ = ["CLAIMS", "MAIN", "VERDICTS", "WEIGHTS", "Facts", "Ledger"]
__all__ += ["accuracy_curve", "anchor", "ece_tests", "html", "page", "text"]
