"""Runs: asked for, kept, recorded."""

from acrlls.runs.runs import Predictions, Run, grid, load_run, record, run, run_all, tune
from acrlls.runs.recorded import records

__all__ = [
    "Predictions",
    "Run",
    "grid",
    "load_run",
    "record",
    "records",
    "run",
    "run_all",
    "tune",
]
