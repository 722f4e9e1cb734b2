"""The verdict in sentences, each computed from :mod:`acrlls.tables.compare`."""

from __future__ import annotations

import numpy as np

from acrlls.method import VARIANTS
from acrlls.tables.compare import ECE, Difference
from acrlls.tables.recorded import Side, name_of
from acrlls.tables.words import number, plural


def tell(found: Difference, first: Side, second: Side) -> str:
    """One sentence: which side predicts better by its NLL, by how much, and from how many seeds."""
    a, b = name_of(first), name_of(second)
    verdict = {
        -1: f"{b} predicts better than {a}",
        1: f"{b} predicts worse than {a}",
        0: f"{b} and {a} cannot be told apart by their NLL",
    }[found.shows("NLL")]
    parts = [_change(found, "NLL", 3), _change(found, "Accuracy", 1, 100, " points")]
    ece = found.table.loc[ECE]
    parts.append(f"mean class-wise ECE {number(ece.difference, 4, True)} (p = {number(ece.p)})")
    return f"**{verdict}**: {', '.join(parts)} ({_seeds(found)})."


def _change(found: Difference, measure: str, digits: int, factor: float = 1, unit: str = "") -> str:
    """Such as "NLL lower by 0.045 (95 % interval 0.022 to 0.068)"."""
    value, low, high = factor * found.table.loc[measure, ["difference", "low", "high"]]
    name, signed = measure if measure.isupper() else measure.lower(), not found.shows(measure)
    if not signed:
        name += " higher by" if value > 0 else " lower by"
        value, (low, high) = abs(value), sorted((abs(low), abs(high)))
    value, low, high = (number(v, digits, signed) for v in (value, low, high))
    return f"{name} {value}{unit} (95 % interval {low} to {high})"


def _seeds(found: Difference) -> str:
    seeds = "one seed" if found.seeds == 1 else f"{found.seeds} seeds"
    return seeds if found.pairs == found.seeds else f"{seeds}, {found.pairs} runs"


def headline(step: Difference, mixed: Difference, layers: Difference, errors, floor: float) -> str:
    """The verdict in short. ``step`` is Baseline with a post-hoc step minus Proposed as trained,
    ``mixed`` the same in the paper's class mix, ``layers`` Proposed minus Baseline as trained;
    ``errors`` are the mean class-wise ECEs of Proposed's runs, and 95 % of calibrated ones would
    lie below ``floor``."""
    above = np.mean(np.array(errors) > floor)
    trained = {1: "is not calibrated", 0: "shows no miscalibration"}.get(above, "is not always so")
    return (
        f"**Trained with ACR and LLS, the network {trained}, and it predicts {_sign(layers)} the "
        f"network without the two layers. After one step, that network predicts "
        f"{_mixes(step, mixed, 'it')}.** All numbers are from the real images."
    )


def _sign(found: Difference) -> str:
    words = {-1: "better than", 1: "worse than", 0: "no differently from"}
    return words[found.shows("NLL")]


def _mixes(own: Difference, paper: Difference, other: str) -> str:
    here, there = _sign(own), _sign(paper)
    if here == there:
        return f"{here} {other} in either class mix"
    return f"{here} {other} in the class mix of these images, and {there} it in the paper's"


# --- Four answers for the front page


def calibrated(errors, floor: float) -> str:
    """Does Proposed, as trained, show miscalibration? ``errors`` and ``floor`` as in
    :func:`headline`."""
    above = sum(e > floor for e in errors)
    verdict = {len(errors): "No.", 0: "These images show no miscalibration."}.get(
        above, f"Not always: {above} of {len(errors)} runs lie above the noise floor."
    )
    return (
        f"**Calibrated?** {verdict} The mean class-wise ECE of Proposed as trained is "
        f"{np.mean(errors):.4f}; perfect calibration would stay below {floor:.4f} in 95 % of "
        f"test sets ({plural(len(errors), 'run')})."
    )


def better(own: Difference, paper: Difference) -> str:
    """Does Proposed predict better than Baseline, in both class mixes?"""
    return f"**Better?** Proposed predicts {_mixes(own, paper, 'Baseline')}: {_both(own, paper)}."


def needed(step: Difference, mixed: Difference) -> str:
    """Does Proposed make a step after training unnecessary? As in :func:`headline`."""
    said = f"{_mixes(step, mixed, 'Proposed as trained')}: {_both(step, mixed)}"
    return f"**Post-hoc unnecessary?** Baseline with one post-hoc step predicts {said}."


def _both(own: Difference, paper: Difference) -> str:
    there = _change(paper, "NLL", 3)
    return f"{_change(own, 'NLL', 3)}; in the paper's mix {there} ({_seeds(own)})"


def repeated(errors) -> str:
    """Does another run give the same? ``errors``: by network, the mean class-wise ECE of runs."""
    first, second = (np.array(errors[VARIANTS[n].title]) for n in ("baseline", "proposed"))
    if min(len(first), len(second)) < 2:
        return "**Repeated?** Not yet: one run of a network is recorded, and one is in the paper."
    gap = first.mean() - second.mean()
    spread = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    return (
        f"**Repeated?** Over {len(second)} runs the mean class-wise ECE of Proposed lies "
        f"{abs(gap):.4f} {'below' if gap > 0 else 'above'} that of Baseline, and from run to run "
        f"it varies with a standard deviation of {spread:.4f}. The paper has one run."
    )
