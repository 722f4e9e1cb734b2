"""Synthetic chest radiographs whose true class probabilities are known."""

from acrlls.phantom.patients import CLASSES, FORMULA, eta
from acrlls.phantom.phantom import Phantom, draw

__all__ = ["CLASSES", "FORMULA", "Phantom", "draw", "eta"]
