"""Synthetic chest radiographs whose true class probabilities are known."""

from acrlls.phantom.patients import CLASSES, FORMULA, draw, eta, source_task

__all__ = ["CLASSES", "FORMULA", "draw", "eta", "source_task"]
