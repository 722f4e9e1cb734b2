"""The verdict in sentences, each computed from :mod:`acrlls.tables.compare`."""

import numpy as np

from acrlls.method import VARIANTS
from acrlls.tables.compare import ECE, Difference
from acrlls.tables.recorded import Side, name_of
from acrlls.tables.words import error, number, plural, runs_of, signed, span

Mixes = tuple[Difference, Difference]  # in our class mix, and in the paper's


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


def headline(layers: Mixes, step: Mixes, errors, floors) -> str:
    """The verdict in short. ``layers`` is Proposed minus Baseline as trained, ``step`` Baseline
    with a post-hoc step minus Proposed as trained; ``errors`` are the mean class-wise ECEs of
    Proposed's runs, each of which would lie below its one of ``floors`` in 95 % of test sets if the
    run were calibrated."""
    every, none = "do not calibrate every class", "leave no visible miscalibration"
    trained = _above(errors, floors, every, none, "leave miscalibration in {}")
    gain = (
        "they make the network's probabilities better",
        "they could not be shown to make the network's probabilities better or worse",
        "they make the network's probabilities worse",
    )
    after = (
        "makes those of the plain network better than the layers do",
        "could not be shown to make those of the plain network better or worse than the layers do",
        "leaves those of the plain network worse than the layers do",
    )
    return (
        f"**The two layers {trained}, and {in_mixes(layers, gain, 'with them')}. Vector scaling, "
        f"one step after training, {in_mixes(step, after, 'after that step')}.** Better is a lower "
        "NLL, on the real images, and for networks trained with class weights, as published."
    )


def _above(errors, floors, every: str, none: str, some: str) -> str:
    above, runs = int(np.greater(errors, floors).sum()), len(errors)
    return {runs: every, 0: none}.get(above, some.format(f"{above} of {runs} runs"))


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

    def nll(found: Difference) -> str:
        return signed(*found.table.loc["NLL", ["difference", "low", "high"]])

    shown = ("a lower NLL", "no difference", "a higher NLL")[layers.shows("NLL") + 1]
    lower = sum(change.shows("NLL") < 0 for change in changes.values())
    seeds = span([change.seeds for change in changes.values()], str)
    each = ", ".join(f"{name} {nll(change)}" for name, change in changes.items())
    return (
        f"**Statistics {reading}, on the same training, are shown to give a lower NLL for {lower} "
        f"of {plural(len(changes), 'network')}**. The changes, with 95 % intervals over "
        f"seeds ({seeds} a network) and images, are: {each}. Read in this way, Proposed minus "
        f"Baseline is {nll(layers)}, so that {shown} is shown for the two layers."
    )


# --- Four answers for the front page


def calibrated(errors, floors, top) -> str:
    """Does Proposed, as trained, show miscalibration? ``errors`` and ``floors`` as in
    :func:`headline`; ``top`` are both for the predicted class alone."""
    every = "No, not in the probabilities of all classes."
    none, some = "Our images show no miscalibration.", "Not always: {} show miscalibration."
    return (
        f"**Calibrated?** {_above(errors, floors, every, none, some)} The mean class-wise ECE of "
        f"Proposed as trained is {span(errors, error)}; a calibrated run would stay below "
        f"{span(floors, error)}, the 95 % quantile of its noise floor "
        f"({plural(len(errors), 'run')}). Of the predicted class alone, the ECE lies above that "
        f"quantile in {_above(*top, 'every run', 'no run', '{}')}."
    )


def better(found: Mixes, early: Difference) -> str:
    """Does Proposed predict better than Baseline, in both class mixes? ``early`` is the difference
    after Phase 1 alone, in the first of them."""
    return f"**Better?** {_both(found, early, 'Proposed', 'Baseline')}"


def needed(step: Mixes, early: Difference, errors, floors) -> str:
    """Is a step after training still needed beside Proposed? As in :func:`headline`, but ``errors``
    are those of Baseline after the step; ``early`` as in :func:`better`."""
    own, paper = (mix.shows("NLL") for mix in step)
    answer = ("Yes", "Not settled", "No")[own + 1] + ", in our class mix" * (own not in (0, paper))
    sides = "Baseline after vector scaling", "Proposed as trained"
    left = _above(errors, floors, "every run", "no run", "{}")
    return (
        f"**Is a step after training still needed?** {answer}. {_both(step, early, *sides)} After "
        "both phases and that step, the mean class-wise ECE lies above the 95 % quantile of its "
        f"noise floor in {left}."
    )


def _both(found: Mixes, early: Difference, a: str, b: str) -> str:
    """The NLL in both mixes, and Brier score and ECE where they are shown to differ; the NLL after
    Phase 1 alone."""
    neither = f"No difference in NLL between {a} and {b} could be shown"
    words = f"{a} has a lower NLL than {b}", neither, f"{a} has a higher NLL than {b}"
    own, paper = (
        ", ".join(_change(f, m) for m in ("NLL", "Brier score", ECE) if m == "NLL" or f.shows(m))
        for f in found
    )
    said = f"{in_mixes(found, words, f'with {a}')}. {a} minus {b}, in our class mix: {own}; in "
    said += f"the paper's: {paper}. From {runs_of(found[0].pairs, found[0].seeds)}. After Phase 1 "
    seeds = runs_of(early.pairs, early.seeds)
    return f"{said}alone, in our class mix: {_change(early, 'NLL')}, from {seeds}."


def repeated(errors, seeds: int) -> str:
    """Does another run give the same? ``errors``: by network, the mean class-wise ECE of runs with
    so many seeds, run by run."""
    ours = {VARIANTS[n].title: errors[VARIANTS[n].title] for n in ("proposed", "baseline")}
    lower = [a < b for a, b in zip(*ours.values(), strict=False)]
    verdict = "No: which network has the lower ECE differs by run."
    if len(set(lower)) == 1:
        verdict = "Yes: the same network has the lower ECE in every run."
    values = " and ".join(f"{', '.join(map(error, each))} for {n}" for n, each in ours.items())
    how_many = f"{plural(min(map(len, ours.values())), 'run')} of each, {plural(seeds, 'seed')}"
    return (
        f"**Repeated?** {verdict if seeds > 2 else 'Not settled.'} Proposed has the lower mean "
        f"class-wise ECE in {sum(lower)} of {plural(len(lower), 'pair')} of runs: {values} "
        f"({how_many}). The paper has one run."
    )
