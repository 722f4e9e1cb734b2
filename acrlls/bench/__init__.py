"""The paper's whole job, timed in plain Keras and through the feature bank."""

from acrlls.bench.compare import Task, bench, load
from acrlls.bench.cost import TUNED, Job, project, rates

__all__ = ["TUNED", "Job", "Task", "bench", "load", "project", "rates"]
