"""Section 7: which of ACR, LLS and the class weights moves calibration."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import pandas as pd

from acrlls import VARIANTS, paper, run_all
from acrlls.runs import Run
from acrlls.tables import beside, verdict
from acrlls.tables.compare import (
    ECE,
    MIXES,
    Difference,
    classwise_ece,
    compare,
    mean_of,
    reach_of_seeds,
)
from acrlls.tables.recorded import AS_PUBLISHED, NETWORKS, UNWEIGHTED, Setting
from acrlls.tables.words import error, plural, runs_of

WEIGHTED = ("baseline", "single_dense", "proposed", "acr_only", "lls_only", "single_dense_acr_lls")
WAYS = {"with class weights": (0, ""), "prior corrected": (0, "prior"), UNWEIGHTED: (1, "")}
ENDINGS = {"own": "", "paper": ", paper's mix"}  # of the title of a setting
Pair = tuple[Setting, Setting]  # runs with class weights, and without


def networks(config) -> Pair:
    """Runs of this build: six variants with class weights, Baseline and Proposed without too."""
    wanted = [(v, True) for v in WEIGHTED] + [(v, False) for v in ("baseline", "proposed")]
    found = {True: {}, False: {}}
    for run in run_all(config.replace(variant=v, class_weights=w) for v, w in wanted):
        found[run.config.class_weights][run.config.variant] = {"here": run}
    return tuple(Setting(beside.here(config), found[w]) for w in (True, False))


def table(roman: str, real: Setting, ours: Setting, resamples: int) -> pd.DataFrame:
    """Table IV, accuracy and macro F1, or V, class-wise ECE, in the columns of
    :mod:`acrlls.tables.beside`, a row a network and quantity; beside published numbers, of the
    published networks alone."""
    statistic, index = classwise_ece, pd.Index
    if roman == "IV":
        statistic, index = beside.scores, ["Accuracy", "Macro F1"]
    published, found = paper.table(roman), {}
    known = beside.is_paper(ours.of("baseline")[0].class_names)
    for network in WEIGHTED:
        title, (run,) = VARIANTS[network].title, ours.of(network)
        if title in published.index or not known:
            theirs = published.reindex([title]).iloc[0]
            about = statistic, index, theirs, real.of(network), run
            found[title] = beside.columns(*about, resamples=resamples)
    return pd.concat(found)


def above_floors(real: Setting, bins: int, resamples: int) -> pd.DataFrame:
    """In how many runs an ECE of Table V, and their mean, lies above what 95 % of test sets would
    show were the run calibrated in a class mix, such as "5 of 6"; a row a mix and network."""
    rows = {}
    for (mix, title), network in product(MIXES.items(), [n for n in NETWORKS if real.of(n)]):
        runs = real.of(network)
        errors, limits = beside.errors_and_floors(runs, "", bins, resamples, mix)
        told = [f"{k} of {len(runs)}" for k in (errors > limits).sum(axis=0)]
        row = dict(zip([*runs[0].class_names, ECE], told, strict=True))
        rows[title, VARIANTS[network].title] = row
    return pd.DataFrame(rows).T


def against_baseline(settings: Sequence[Setting], bins, resamples, mix="own") -> dict:
    """The :func:`acrlls.tables.compare.compare` of each network and the Baseline of its setting, by
    the setting's title and its own."""
    bare = ("baseline", "")
    return {
        (s.title + ENDINGS[mix], VARIANTS[n].title): compare(s, bare, (n, ""), mix, bins, resamples)
        for s, n in product(settings, WEIGHTED[1:])
        if s.common(bare, (n, ""))
    }


def each_layer(found: Mapping[tuple[str, str], Difference]) -> str:
    """Whether ACR alone and LLS alone change the NLL on the real images, in both class mixes, from
    :func:`against_baseline`."""
    words = "lowers the NLL", "is not shown to change the NLL", "raises the NLL"
    told = []
    for title in (VARIANTS[network].title for network in ("acr_only", "lls_only")):
        both = tuple(found[AS_PUBLISHED + ending, title] for ending in ENDINGS.values())
        said = verdict.in_mixes(both, words, f"with {title}")
        told.append(f"**{title} {said}** ({runs_of(both[0].pairs, both[0].seeds)})")
    return f"On the real images, {' and '.join(told)}."


def three_ways(pairs: Mapping[str, Pair], bins: int) -> pd.DataFrame:
    """Accuracy, NLL and mean class-wise ECE of each network with class weights, prior corrected,
    and trained without weights; a row a pair's title, network and way; means over the runs."""
    rows, every = {}, product(pairs.items(), WEIGHTED[:3], WAYS.items())
    for (title, pair), network, (way, (which, step)) in every:
        if runs := pair[which].of(network):
            accuracy, nll, _, ece = mean_of(runs, step, bins=bins)
            rows[title, VARIANTS[network].title, way] = len(runs), accuracy, nll, ece
    return pd.DataFrame(rows, ["runs", "accuracy", "NLL", ECE]).T


def correction_count(runs: Iterable[Run]) -> str:
    """In how many recorded runs with class weights prior correction lowers the NLL at all."""
    weighted = [run for run in runs if run.config.class_weights]
    lower = sum(mean_of([run], "prior")[1] < mean_of([run])[1] for run in weighted)
    counted = plural(len(weighted), "recorded run")
    return (
        f"Of {counted} on the real images with class weights, those of other settings and of Phase "
        f"1 alone included, prior correction lowers the NLL of {lower} and raises that of "
        f"{len(weighted) - lower}."
    )


def changes(pair: Pair, bins: int, network: str = "baseline") -> dict[str, tuple[float, bool]]:
    """By how much each way but the first changes the mean class-wise ECE of a network, and whether
    by more than seeds explain, from the seeds that both have; means over the runs."""
    rows = [
        [way, run.config.seed, mean_of([run], step, bins=bins)[-1]]
        for way, (which, step) in WAYS.items()
        for run in pair[which].of(network)
    ]
    table, found = pd.DataFrame(rows, columns=["way", "seed", "ece"]), {}
    means = table.groupby("way", sort=False).ece.mean()
    by_seed = table.groupby(["way", "seed"]).ece.mean().unstack("way")
    base, *others = means.index
    for way in others:
        gaps = (by_seed[way] - by_seed[base]).dropna()
        shown = len(gaps) > 1 and abs(gaps.mean()) > reach_of_seeds(gaps, gaps.index)
        found[way] = means[way] - means[base], bool(shown)
    return found


def finding(base: float, where: str, layers: Difference, moved: dict[str, tuple]) -> str:
    """The section's finding on the images ``where``: whether the two layers help a Baseline of a
    mean class-wise ECE ``base``, by the ``layers`` of Proposed minus Baseline, and what class
    weights do, from :func:`changes`."""
    gain = (
        "The two layers lower the NLL",
        "No difference in NLL between Proposed and Baseline could be shown",
        "The two layers raise the NLL",
    )
    what = "dividing the class weights out", "training without them"
    names = dict(zip(list(WAYS)[1:], what, strict=True))
    every = {"the layers": (layers.table.difference[ECE], bool(layers.shows(ECE)))}
    every |= {names[way]: change for way, change in moved.items()}
    first, *told = (error(gap, True) for gap, _ in every.values())
    told = [f"{name} by {gap}" for name, gap in zip(list(every)[1:], told, strict=True)]
    larger = [name for name, (_, shown) in every.items() if shown]
    beyond = f"Only the change by {' and that by '.join(larger)} exceeds the spread between seeds."
    if len(larger) in (0, len(every)):
        beyond = f"{'Each' if larger else 'None'} of these exceeds the spread between seeds."
    return (
        f"**{gain[layers.shows('NLL') + 1]} {beside.on(where).lower()}**. The mean class-wise ECE "
        f"of Baseline is {error(base)}. The layers change it by {first}, {' and '.join(told)} "
        f"({plural(layers.pairs, 'run')} of each network with class weights; our class mix). "
        f"{beyond}"
    )
