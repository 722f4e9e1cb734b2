"""The verdict in sentences, each computed from the tables beside it
(:mod:`acrlls.tables.networks`).
"""

from __future__ import annotations

import numpy as np

from acrlls.method import VARIANTS
from acrlls.tables.networks import Difference, Side, name_of


def tell(found: Difference, first: Side, second: Side) -> str:
    """One sentence: which side predicts better by its NLL, by how much, and from how many seeds."""
    a, b = name_of(first), name_of(second)
    verdict = {
        -1: f"**{b} predicts better than {a}**",
        1: f"**{b} predicts worse than {a}**",
        0: f"**{b} and {a} cannot be told apart by their NLL**",
    }[found.shows("NLL")]
    row = found.table
    return (
        f"{verdict}: NLL {_signed(row.loc['NLL'], 3)}, accuracy {_signed(row.loc['Accuracy'] * 100, 1)} points, mean "
        f"class-wise ECE {_signed(row.loc['Mean class-wise ECE'], 4)} ({_seeds(found.seeds)})."
    )


def _signed(row, digits: int) -> str:
    low, high = (f"{v:+.{digits}f}".replace("-", "−") for v in (row.low, row.high))
    return f"{row.difference:+.{digits}f}".replace("-", "−") + f" (95 % interval {low} to {high})"


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


# --- Four answers for the front page


def calibrated(errors, floor: float) -> str:
    """Does Proposed, as trained, show miscalibration?

    Args:
        errors: mean class-wise ECE of each seed.
        floor: what perfect calibration stays below in 95 % of test sets.
    """
    above = sum(e > floor for e in errors)
    shown = f"mean class-wise ECE {np.mean(errors):.4f}; perfect calibration would stay below {floor:.4f} in 95 % of test sets"
    if above == len(errors):
        verdict = "No."
    elif above:
        verdict = f"Not always: {above} of {len(errors)} seeds lie above the noise floor."
    else:
        verdict = "These images show no miscalibration."
    return f"**Calibrated?** {verdict} Proposed as trained: {shown} ({_seeds(len(errors))})."


def better(own: Difference, paper: Difference) -> str:
    """Does Proposed predict better than Baseline, in both class mixes?"""
    say = {-1: "better", 1: "worse", 0: "neither better nor worse"}
    here, there = (say[d.shows("NLL")] for d in (own, paper))
    mixes = (
        f"{here} in either class mix"
        if here == there
        else f"{here} in the mix of these images, {there} in the paper's mix"
    )
    numbers = f"NLL {_signed(own.table.loc['NLL'], 3)} and {_signed(paper.table.loc['NLL'], 3)}"
    return f"**Better?** Proposed predicts {mixes} than Baseline: {numbers} ({_seeds(own.seeds)})."


def needed(step: Difference) -> str:
    """Does Proposed make a step after training unnecessary?  ``step`` is Baseline with the step
    minus Proposed.
    """
    answer = {
        -1: "No. Baseline with one post-hoc step predicts better than Proposed as trained",
        1: "Yes, against the step tried. Proposed as trained predicts better than Baseline with one post-hoc step",
        0: "Proposed as trained and Baseline with one post-hoc step cannot be told apart",
    }[step.shows("NLL")]
    return f"**Post-hoc unnecessary?** {answer}: NLL {_signed(step.table.loc['NLL'], 3)} ({_seeds(step.seeds)})."


def repeated(errors) -> str:
    """Does another seed give the same?

    Args:
        errors: by network, the mean class-wise ECE of each seed.
    """
    first, second = (np.array(errors[VARIANTS[n].title]) for n in ("baseline", "proposed"))
    if min(len(first), len(second)) < 2:
        return "**Repeated?** Not yet: one seed of each network went through both phases, and so did the paper's."
    gap, spread = (
        first.mean() - second.mean(),
        np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2),
    )
    return (
        f"**Repeated?** Over {len(second)} seeds the mean class-wise ECE of Proposed lies {abs(gap):.4f} "
        f"{'below' if gap > 0 else 'above'} that of Baseline, and one seed differs from the next by a standard deviation "
        f"of {spread:.4f}. The paper has one seed."
    )
