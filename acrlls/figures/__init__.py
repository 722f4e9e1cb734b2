"""The figures: ``prepare_*`` gives arrays, ``plot_*`` draws on the axes it is given, or on new ones."""

from acrlls.figures.plots import *  # noqa: F403
from acrlls.figures.plots import __all__  # noqa: F401
from acrlls.figures.verdict import plot_networks  # noqa: F401
