"""Every claim of the paper, what checks it, and what came out."""

from acrlls.ledger.ledger import Ledger, audit

__all__ = ["Ledger", "audit"]
