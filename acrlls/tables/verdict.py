"""The verdict in sentences, each computed from :mod:`acrlls.tables.compare`."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from acrlls.method import VARIANTS
from acrlls.tables.compare import ECE, Difference
from acrlls.tables.recorded import NETWORKS, Setting, Side, name_of
from acrlls.tables.words import error, number, percent, plural, runs_of, signed, span

# Of our class mix, and of the paper's
Mixes = tuple[Difference, Difference]
# Mean class-wise ECEs of runs, and what each stays below in 95 % of test sets if it is calibrated
Errors = tuple[tuple[Sequence[float], Sequence[float]], tuple[Sequence[float], Sequence[float]]]


def tell(found: Difference, first: Side, second: Side) -> str:
    """One sentence: which side predicts better by its NLL, by how much, and from how many seeds."""
    words = "predicts better than", "is not shown to predict better or worse than"
    words = (*words, "predicts worse than")[found.shows("NLL") + 1]
    parts = ", ".join(_change(found, measure) for measure in ("NLL", "Accuracy", ECE))
    seeds = runs_of(found.pairs, found.seeds)
    return f"**{name_of(second)} {words} {name_of(first)}**: {parts}, from {seeds}."


def _change(found: Difference, measure: str) -> str:
    """Such as "NLL −0.045 (95 % interval −0.068 to −0.022)"; for the ECE with its p
    where it is larger than the spread between seeds."""
    row = found.table.loc[measure]
    if measure == ECE:
        shown = f"{found.p_value} over images alone"
        shown = shown if found.beyond else "not shown: seeds differ by as much"
        return f"mean class-wise ECE {error(row.difference, True)} ({shown})"
    points = measure == "Accuracy"
    ends = row[["difference", "low", "high"]] * (100 if points else 1)
    value, low, high = (number(end, 1 if points else 3, True) for end in ends)
    name, unit = ("accuracy", " points") if points else (measure, "")
    return f"{name} {value}{unit} (95 % interval {low} to {high})"


def headline(layers: Mixes, step: Mixes, errors: Errors) -> str:
    """The verdict in short, a list of three and a line on what it rests on. ``layers`` is Proposed
    minus Baseline as trained, ``step`` Baseline with a post-hoc step minus Proposed as trained;
    ``errors`` are of Proposed."""
    every, none = "do not calibrate every class", "leave no visible miscalibration"
    trained = _miscalibrated(errors, every, none, "leave miscalibration in {}")
    own, paper = (_above(*each) for each in errors)
    gain = (
        "They make the network's probabilities better",
        "They could not be shown to make the network's probabilities better or worse",
        "They make the network's probabilities worse",
    )
    plain, other = "the plain network's probabilities", "those with both layers"
    after = (
        f"{plain} are better than {other}",
        f"{plain} could not be shown to be better or worse than {other}",
        f"{plain} are worse than {other}",
    )
    each = runs_of(layers[0].pairs, layers[0].seeds)
    return (
        f"1. **The two layers {trained}.** The mean class-wise ECE of Proposed, the network with "
        f"both, lies above the 95 % quantile of its noise floor in {own} in our class mix, and in "
        f"{paper} in the paper's.\n"
        f"2. **{in_mixes(layers, gain, 'with them')}.** Proposed minus Baseline, the network "
        "without them, in NLL: "
        f"{_in_each(layers)}.\n"
        "3. **After vector scaling, one step after training, "
        f"{in_mixes(step, after, 'after that step')}.** Baseline after it minus Proposed as "
        f"trained in NLL: {_in_each(step)}.\n\n"
        "Better is a lower NLL, on the real images, for networks trained with class weights, as "
        f"published: {each} for each. The intervals are of 95 %, over seeds and test images."
    )


def _in_each(found: Mixes) -> str:
    own, paper = map(_nll, found)
    return f"{own} in our class mix, {paper} in the paper's"


def _nll(found: Difference) -> str:
    return signed(*found.table.loc["NLL", ["difference", "low", "high"]])


def _above(errors, floors, every="every run", none="no run", some="{}") -> str:
    above, runs = int(np.greater(errors, floors).sum()), len(errors)
    return {runs: every, 0: none}.get(above, some.format(f"{above} of {runs} runs"))


def _miscalibrated(errors: Errors, *words: str) -> str:
    own, paper = (_above(*each, *words) for each in errors)
    return f"{own} in {'either' if own == paper else 'our'} class mix"


def in_mixes(found: Mixes, words: tuple[str, str, str], how: str) -> str:
    """What the NLL shows in both class mixes, in the words for lower, no difference shown, and
    higher; where the paper's mix shows something else, it is lower or higher ``how``."""
    own, paper = (mix.shows("NLL") for mix in found)
    if own == paper:
        return f"{words[own + 1]} in either class mix"
    other = {-1: f"the NLL is lower {how}", 1: f"the NLL is higher {how}"}
    other = other.get(paper, "that could not be shown")
    return f"{words[own + 1]} in our class mix; in the paper's class mix {other}"


def statistics(changes: dict[str, Difference], layers: Difference, reading: str) -> str:
    """What another ``reading`` of BatchNorm's statistics changes in the NLL; the two results of
    :func:`acrlls.tables.compare.with_statistics`."""
    shown = ("a lower NLL", "no difference", "a higher NLL")[layers.shows("NLL") + 1]
    lower = sum(change.shows("NLL") < 0 for change in changes.values())
    seeds = span([change.seeds for change in changes.values()], str)
    each = ", ".join(f"{name} {_nll(change)}" for name, change in changes.items())
    return (
        f"**Statistics {reading}, on the same training, are shown to give a lower NLL for {lower} "
        f"of {plural(len(changes), 'network')}**. The changes in our class mix, with 95 % "
        f"intervals over seeds ({seeds} a network) and images, are: {each}. With these, "
        f"Proposed minus Baseline is {_nll(layers)}, so that {shown} is shown for the two layers."
    )


def fine_tuned(setting: Setting) -> str:
    """How many runs of each network were never fine-tuned, since they kept an epoch of Phase 1."""
    early, none = [], []
    for network in [n for n in NETWORKS if setting.of(n)]:
        title, runs = VARIANTS[network].title, setting.of(network)
        count = sum(run.manifest["selected_phase"] == 1 for run in runs)
        (early if count else none).append(f"{count} of {len(runs)} of {title}" if count else title)
    if not early:
        return "Every run kept an epoch of Phase 2, so all were fine-tuned."
    others = f", none of {' and '.join(none)}" * bool(none)
    return (
        f"A run that kept an epoch of Phase 1 was never fine-tuned: {', '.join(early)}{others}. A "
        "difference between such networks is in part one of fine-tuning."
    )


# --- Four answers for the front page


def calibrated(found: Errors, top, classes: Mapping[str, tuple]) -> str:
    """Does Proposed, as trained, show miscalibration? In our class mix, ``top`` are the errors of
    the predicted class alone and their floors, and ``classes`` those of each class."""
    words = (
        "No: in every run the probabilities of some classes are off",
        "No miscalibration is shown",
    )
    (errors, floors), (there, limits) = found
    above = {name: int(np.greater(*each).sum()) for name, each in classes.items()}
    each = ", ".join(f"{n} in {above[n]}" for n in sorted(above, key=above.get, reverse=True))
    return (
        f"**Calibrated?** {_miscalibrated(found, *words, 'Not always: {} show miscalibration')}. "
        f"In our class mix, the mean class-wise ECE of Proposed as trained is {span(errors, error)}"
        f" ({plural(len(errors), 'run')}); a calibrated run would stay below "
        f"{span(floors, error)}, the 95 % quantile of its noise floor. In the paper's, it is "
        f"{span(there, error)} and the quantile {span(limits, error)}; it lies above that of its "
        f"own run in {_above(there, limits)}. In our class mix, the ECE of the predicted class "
        f"alone does so in {_above(*top)}, and by class that of {each} of {len(errors)}."
    )


def better(found: Mixes, early: Difference) -> str:
    """Does Proposed predict better than Baseline, in both class mixes? ``early`` is the difference
    after Phase 1 alone, in the first of them."""
    a, b = "Proposed", "Baseline"
    neither = f"No difference in NLL between {a} and {b} could be shown"
    words = f"{a} has a lower NLL than {b}", neither, f"{a} has a higher NLL than {b}"
    return f"**Better?** {in_mixes(found, words, f'with {a}')}. {_both(found, early, a, b)}"


def needed(step: Mixes, early: Difference, errors: Errors) -> str:
    """Is a step after training still needed beside Proposed? ``step`` as in :func:`headline`,
    ``errors`` of Baseline after it; ``early`` as in :func:`better`."""
    own, paper = (mix.shows("NLL") for mix in step)
    answer = ("Yes", "Not settled", "No")[own + 1] + ", in our class mix" * (own not in (0, paper))
    sides = "Baseline after vector scaling", "Proposed as trained"
    left, there = (_above(*each) for each in errors)
    return (
        f"**Is a step after training still needed?** {answer}. {_both(step, early, *sides)} After "
        "both phases and that step, the mean class-wise ECE lies above the 95 % quantile of its "
        f"noise floor in {left} in our class mix, and in {there} in the paper's."
    )


def _both(found: Mixes, early: Difference, a: str, b: str) -> str:
    """The NLL in both mixes, and Brier score and ECE where they are shown to differ; the NLL after
    Phase 1 alone."""
    own, paper = (
        ", ".join(_change(f, m) for m in ("NLL", "Brier score", ECE) if m == "NLL" or f.shows(m))
        for f in found
    )
    seeds, more = (runs_of(d.pairs, d.seeds) for d in (found[0], early))
    return (
        f"{a} minus {b}, in our class mix: {own}; in the paper's: {paper}. From {seeds}. After "
        f"Phase 1 alone, in our class mix: {_change(early, 'NLL')}, from {more}."
    )


def repeated(errors, there, seeds: int) -> str:
    """Does another run give the same? ``errors`` and, in the paper's class mix, ``there``: by
    network, the mean class-wise ECE of runs with so many seeds, run by run."""
    names = [VARIANTS[n].title for n in ("proposed", "baseline")]
    own, paper = (np.less(*(each[n] for n in names)).tolist() for each in (errors, there))
    answer = "Not settled" if seeds < 3 else "No" if len({*own, *paper}) > 1 else "Yes"
    coin = binomtest(sum(own), len(own)).pvalue
    values = " and ".join(f"{', '.join(map(error, errors[n]))} for {n}" for n in names)
    how_many = f"{plural(len(own), 'run')} of each, {plural(seeds, 'seed')}"
    return (
        f"**Repeated: does every run agree?** {answer}: Proposed has the lower ECE in {sum(own)} "
        f"of {plural(len(own), 'pair')} of runs in our class mix; tossing a coin would be as "
        f"one-sided in {percent(coin)} of cases. The mean class-wise ECE there is "
        f"{values} ({how_many}); in the paper's class mix Proposed has the lower one in "
        f"{sum(paper)} of {len(paper)}. The paper has one run."
    )
