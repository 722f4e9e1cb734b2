"""The verdict in sentences, each computed from :mod:`acrlls.tables.compare`."""

from __future__ import annotations

import numpy as np

from acrlls.method import VARIANTS
from acrlls.tables.compare import ECE, Difference
from acrlls.tables.recorded import Setting, Side, kept, name_of
from acrlls.tables.words import error, listed, number, plural

Mixes = tuple[Difference, Difference]  # in the images' own class mix, and in the paper's


def tell(found: Difference, first: Side, second: Side) -> str:
    """One sentence: which side predicts better by its NLL, by how much, and from how many seeds."""
    a, b = name_of(first), name_of(second)
    verdict = {
        -1: f"{b} predicts better than {a}",
        1: f"{b} predicts worse than {a}",
        0: f"{b} is not shown to predict better or worse than {a}",
    }[found.shows("NLL")]
    parts = [_change(found, "NLL"), _change(found, "Accuracy", 1, 100, " points")]
    return f"**{verdict}**: {', '.join([*parts, _change(found, ECE)])} ({_seeds(found)})."


def _change(found: Difference, measure: str, digits: int = 3, factor: float = 1, unit="") -> str:
    """Such as "NLL −0.045 (95 % interval −0.068 to −0.022)"; for the ECE with its p."""
    row = found.table.loc[measure]
    if measure == ECE:
        return f"mean class-wise ECE {error(row.difference, True)} ({found.p_value})"
    ends = row[["difference", "low", "high"]]
    value, low, high = (number(factor * end, digits, True) for end in ends)
    name = measure if measure.isupper() else measure.lower()
    return f"{name} {value}{unit} (95 % interval {low} to {high})"


def _seeds(found: Difference) -> str:
    seeds = "one seed" if found.seeds == 1 else f"{found.seeds} seeds"
    return seeds if found.pairs == found.seeds else f"{seeds}, {found.pairs} runs"


def headline(layers: Mixes, step: Mixes, errors, floor: float) -> str:
    """The verdict in short. ``layers`` is Proposed minus Baseline as trained, ``step`` Baseline
    with a post-hoc step minus Proposed as trained; ``errors`` are the mean class-wise ECEs of
    Proposed's runs, and 95 % of calibrated ones would lie below ``floor``."""
    above, runs = sum(e > floor for e in errors), len(errors)
    trained = {runs: "do not make the network calibrated", 0: "leave no visible miscalibration"}
    trained = trained.get(above, f"leave miscalibration in {above} of {runs} runs")
    gain = {
        -1: "a gain in NLL over the network without them was found",
        0: "no gain in NLL over the network without them could be shown",
        1: "a loss in NLL against the network without them was found",
    }
    after = {
        -1: "improves the plain network more than the layers do",
        0: "could not be shown to improve the plain network more or less than the layers do",
        1: "leaves the plain network worse than the layers do",
    }
    return (
        f"**The two layers {trained}, and {_mixes(layers, gain, 'with them')}. Vector scaling, one "
        f"step after training, {_mixes(step, after, 'after that step')}.** All numbers are from "
        "the real images."
    )


def _mixes(found: Mixes, words: dict, how: str) -> str:
    """A phrase by what the NLL shows in both class mixes; it is higher or lower ``how``."""
    own, paper = (mix.shows("NLL") for mix in found)
    if own == paper:
        return f"{words[own]} in either class mix"
    there = {-1: f"the NLL is lower {how}", 1: f"the NLL is higher {how}"}
    there = there.get(paper, "no difference could be shown")
    return f"{words[own]} on these images; in the paper's class mix {there}"


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
        f"{error(np.mean(errors))}; perfect calibration would stay below {error(floor)} in 95 % of "
        f"test sets ({plural(len(errors), 'run')})."
    )


def better(found: Mixes) -> str:
    """Does Proposed predict better than Baseline, in both class mixes?"""
    words = {
        -1: "Proposed has a lower NLL than Baseline",
        0: "No difference in NLL could be shown",
        1: "Proposed has a higher NLL than Baseline",
    }
    return f"**Better?** {_both(found, words, 'with Proposed')}"


def needed(step: Mixes) -> str:
    """Does Proposed make a step after training unnecessary? As in :func:`headline`."""
    words = {
        -1: "No: Baseline with one post-hoc step has a lower NLL than Proposed as trained",
        0: "Not shown: no difference in NLL between Baseline with one post-hoc step and Proposed "
        "as trained could be shown",
        1: "Proposed as trained has a lower NLL than Baseline with one post-hoc step",
    }
    return f"**Post-hoc unnecessary?** {_both(step, words, 'after the step')}"


def _both(found: Mixes, words: dict, how: str) -> str:
    """The NLL in both mixes, and Brier score and ECE where they are shown to differ."""
    own, paper = (
        ", ".join(_change(f, m) for m in ("NLL", "Brier score", ECE) if m == "NLL" or f.shows(m))
        for f in found
    )
    return (
        f"{_mixes(found, words, how)}. On these images: {own}. In the paper's mix: {paper}. From "
        f"{_seeds(found[0])}."
    )


def repeated(errors, seeds: int) -> str:
    """Does another run give the same? ``errors``: by network, the mean class-wise ECE of runs with
    so many seeds, run by run."""
    ours = {VARIANTS[n].title: errors[VARIANTS[n].title] for n in ("proposed", "baseline")}
    runs = min(map(len, ours.values()))
    signs = {a < b for a, b in zip(*ours.values(), strict=False)}
    verdict = "Yes, in sign." if len(signs) == 1 else "No, not even in sign."
    values = " and ".join(f"{n} {listed(map(error, each))}" for n, each in ours.items())
    return (
        f"**Repeated?** {verdict if seeds > 2 else 'Not settled.'} The mean class-wise ECE of each "
        f"run is {values} ({plural(runs, 'run')} of each, {plural(seeds, 'seed')}). The paper has "
        "one run."
    )


def which_epochs(setting: Setting, network: str) -> str:
    """Which phase and epoch each run of a network kept."""
    runs = setting.of(network)
    epochs = listed(map(kept, runs)).replace(", Phase", "; Phase")
    title = VARIANTS[network].title
    return f"By validation loss, {plural(len(runs), 'run')} of {title} kept: {epochs}."
