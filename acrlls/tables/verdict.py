"""The verdict in sentences, each computed from :mod:`acrlls.tables.compare`."""

import numpy as np

from acrlls.method import VARIANTS
from acrlls.tables.compare import ECE, Difference
from acrlls.tables.recorded import Side, name_of
from acrlls.tables.words import error, number, plural, runs_of, signed, span

Mixes = tuple[Difference, Difference]  # in the images' own class mix, and in the paper's


def tell(found: Difference, first: Side, second: Side) -> str:
    """One sentence: which side predicts better by its NLL, by how much, and from how many seeds."""
    words = "predicts better than", "is not shown to predict better or worse than"
    words = (*words, "predicts worse than")[found.shows("NLL") + 1]
    parts = ", ".join(_change(found, measure) for measure in ("NLL", "Accuracy", ECE))
    seeds = runs_of(found.pairs, found.seeds)
    return f"**{name_of(second)} {words} {name_of(first)}**: {parts}, from {seeds}."


def _change(found: Difference, measure: str) -> str:
    """Such as "NLL −0.045 (95 % interval −0.068 to −0.022)"; for the ECE with its p."""
    row = found.table.loc[measure]
    if measure == ECE:
        p = "not shown: seeds differ by as much; " * (not found.beyond) + found.p_value
        return f"mean class-wise ECE {error(row.difference, True)} ({p} over images alone)"
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
    every, none = "do not make the network calibrated", "leave no visible miscalibration"
    trained = _above(errors, floors, every, none, "leave miscalibration in {}")
    gain = (
        "a gain in NLL over the network without them was found",
        "no gain in NLL over the network without them could be shown",
        "a loss in NLL against the network without them was found",
    )
    after = (
        "gives the plain network a lower NLL than the layers do",
        "could not be shown to give the plain network another NLL than the layers do",
        "leaves the plain network with a higher NLL than the layers do",
    )
    return (
        f"**The two layers {trained}, and {_mixes(layers, gain, 'with them')}. Vector scaling, one "
        f"step after training, {_mixes(step, after, 'after that step')}.** All numbers are from "
        "the real images, and from networks trained with class weights, as published."
    )


def _above(errors, floors, every: str, none: str, some: str) -> str:
    above, runs = int(np.greater(errors, floors).sum()), len(errors)
    return {runs: every, 0: none}.get(above, some.format(f"{above} of {runs} runs"))


def _mixes(found: Mixes, words: tuple[str, str, str], how: str) -> str:
    """What the NLL shows in both class mixes, in the words for lower, no difference shown, and
    higher; where the paper's mix shows something else, it is lower or higher ``how``."""
    own, paper = (mix.shows("NLL") for mix in found)
    if own == paper:
        return f"{words[own + 1]} in either class mix"
    other = {-1: f"the NLL is lower {how}", 1: f"the NLL is higher {how}"}
    other = other.get(paper, "that could not be shown")
    return f"{words[own + 1]} on these images; in the paper's class mix {other}"


def statistics(
    changes: dict[str, Difference], layers: Difference, after: dict[str, Difference], reading: str
) -> str:
    """What another ``reading`` of BatchNorm's statistics changes in the NLL; the three results of
    :func:`acrlls.tables.compare.with_statistics`."""

    def nll(found: Difference) -> str:
        return signed(*found.table.loc["NLL", ["difference", "low", "high"]])

    shown = ("a lower NLL", "no difference", "a higher NLL")[layers.shows("NLL") + 1]
    lower = sum(change.shows("NLL") < 0 for change in changes.values())
    each = ", ".join(f"{name} {nll(change)}" for name, change in changes.items())
    words = (
        "Proposed is shown to have a lower NLL than {}, {}",
        "no difference in NLL between Proposed and {} is shown, {}",
        "Proposed is shown to have a higher NLL than {}, {}",
    )
    then = [words[found.shows("NLL") + 1].format(name, nll(found)) for name, found in after.items()]
    return (
        f"**Statistics {reading}, on the same training, are shown to give a lower NLL for {lower} "
        f"of {plural(len(changes), 'network')}**. The changes, with 95 % intervals over "
        f"{plural(layers.seeds, 'seed')} and images, are: {each}. Read in this way, Proposed minus "
        f"Baseline is {nll(layers)}, so that {shown} is shown for the two layers. After vector "
        f"scaling, fitted on validation images read in the same way, {'; '.join(then)}."
    )


# --- Four answers for the front page


def calibrated(errors, floors) -> str:
    """Does Proposed, as trained, show miscalibration? ``errors`` and ``floors`` as in
    :func:`headline`."""
    none, some = "These images show no miscalibration.", "Not always: {} show miscalibration."
    verdict = _above(errors, floors, "No.", none, some)
    return (
        f"**Calibrated?** {verdict} The mean class-wise ECE of Proposed as trained is "
        f"{span(errors, error)}; a calibrated run would stay below {span(floors, error)}, the 95 % "
        f"quantile of its noise floor ({plural(len(errors), 'run')})."
    )


def better(found: Mixes, early: Difference) -> str:
    """Does Proposed predict better than Baseline, in both class mixes? ``early`` is the difference
    after Phase 1 alone, in the first of them."""
    return f"**Better?** {_both(found, early, 'Proposed', 'Baseline')}"


def needed(step: Mixes, early: Difference, errors, floors) -> str:
    """Is a step after training still needed beside Proposed? As in :func:`headline`, but ``errors``
    are those of Baseline after the step; ``early`` as in :func:`better`."""
    own, paper = (mix.shows("NLL") for mix in step)
    answer = ("Yes", "Not settled", "No")[own + 1] + ", on these images" * (own not in (0, paper))
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
    said = f"{_mixes(found, words, f'with {a}')}. {a} minus {b}, on these images: {own}; in the "
    said += f"paper's mix: {paper}. From {runs_of(found[0].pairs, found[0].seeds)}. After Phase 1 "
    seeds = runs_of(early.pairs, early.seeds)
    return f"{said}alone, on these images: {_change(early, 'NLL')}, from {seeds}."


def repeated(errors, seeds: int) -> str:
    """Does another run give the same? ``errors``: by network, the mean class-wise ECE of runs with
    so many seeds, run by run."""
    ours = {VARIANTS[n].title: errors[VARIANTS[n].title] for n in ("proposed", "baseline")}
    lower = {a < b for a, b in zip(*ours.values(), strict=False)}
    same = "Yes: the same network has the lower ECE in every run."
    verdict = same if len(lower) == 1 else "No: which network has the lower ECE differs by run."
    values = " and ".join(f"{', '.join(map(error, each))} for {n}" for n, each in ours.items())
    how_many = f"{plural(min(map(len, ours.values())), 'run')} of each, {plural(seeds, 'seed')}"
    return (
        f"**Repeated?** {verdict if seeds > 2 else 'Not settled.'} The mean class-wise ECE of "
        f"single runs is {values} ({how_many}). The paper has one run."
    )
