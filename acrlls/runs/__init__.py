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

__all__ = ["CLEARED_BY_DEFAULT", "RESULTS", "Predictions", "Run", "entries"]
__all__ += ["environment", "go_through", "grid", "load_run", "record", "records", "reproduce"]
__all__ += ["run", "run_all", "run_digest", "study", "training_weights", "tune", "tuning"]
__all__ += ["workers"]
