"""Runs: asked for, kept, recorded."""

from acrlls.runs.cache import CLEARED_BY_DEFAULT, entries, go_through
from acrlls.runs.recorded import (
    RESULTS,
    Predictions,
    Run,
    load_run,
    record,
    records,
    training_weights,
    tuning,
)
from acrlls.runs.runs import environment, grid, run, run_all, run_digest, tune
from acrlls.runs.study import reproduce, study, workers

__all__ = [name for name, value in vars().items() if name.isupper() or callable(value)]
