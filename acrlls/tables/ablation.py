"""Section 7: which of ACR, LLS and the class weights moves calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from acrlls import VARIANTS, paper, run_all
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables import beside
from acrlls.tables.compare import ECE, Difference, classwise_ece, compare, mean_of
from acrlls.tables.recorded import UNWEIGHTED, Setting
from acrlls.tables.words import error, listed, plural

WEIGHTED = ("baseline", "single_dense", "proposed", "acr_only", "lls_only", "single_dense_acr_lls")
PLAIN = ("baseline", "proposed")
WAYS = {"with class weights": (0, ""), "prior corrected": (0, "prior"), UNWEIGHTED: (1, "")}
Pair = tuple[Setting, Setting]  # runs with class weights, and without


def networks(config) -> Pair:
    """Runs of this build: six variants with class weights, Baseline and Proposed without too."""
    wanted = [(v, True) for v in WEIGHTED] + [(v, False) for v in PLAIN]
    found = {True: {}, False: {}}
    for run in run_all(config.replace(variant=v, class_weights=w) for v, w in wanted):
        found[run.config.class_weights][run.config.variant] = {"here": run}
    title = beside.here(config)
    return Setting(title, found[True]), Setting(title, found[False])


def _beside(statistic: Callable, index, published, real: Setting, ours: Setting, resamples: int):
    """A table in the columns of :mod:`acrlls.tables.beside`, a row a network and quantity; beside
    published numbers, of the published networks alone."""
    tables, known = {}, beside.is_paper(ours.of("baseline")[0].class_names)
    for network in WEIGHTED:
        if known and VARIANTS[network].title not in published.index:
            continue
        title, run = VARIANTS[network].title, ours.of(network)[0]
        theirs = published.reindex([title]).iloc[0]
        about = statistic, index, theirs, real.of(network), run
        tables[title] = beside.columns(*about, resamples=resamples)
    return pd.concat(tables)


def table_4(real: Setting, ours: Setting, resamples: int) -> pd.DataFrame:
    """Table IV, accuracy and macro F1, a row a network and score."""
    rows = ["Accuracy", "Macro F1"]
    return _beside(beside.scores, rows, paper.table("IV"), real, ours, resamples)


def table_5(real: Setting, ours: Setting, resamples: int) -> pd.DataFrame:
    """Table V, class-wise ECE, a row a network and class."""
    published = paper.table("V")[list(CLASSES)]
    return _beside(classwise_ece, pd.Index, published, real, ours, resamples)


def against_baseline(
    settings: Sequence[Setting], bins: int, resamples: int, mix: str = "own"
) -> dict[tuple[str, str], Difference]:
    """Each network minus the Baseline of its setting, by the setting's title and its own."""
    ending, bare = ", paper's mix" if mix == "paper" else "", ("baseline", "")
    return {
        (s.title + ending, VARIANTS[n].title): compare(s, bare, (n, ""), mix, bins, resamples)
        for s, n in product(settings, WEIGHTED[1:])
        if s.common(bare, (n, ""))
    }


def three_ways(pairs: Mapping[str, Pair], bins: int) -> pd.DataFrame:
    """Accuracy, NLL and mean class-wise ECE of each network with class weights, prior corrected,
    and trained without weights; a row a pair's title, network and way; means over the runs."""
    rows = {}
    for (title, pair), network, (way, (which, step)) in product(
        pairs.items(), WEIGHTED[:3], WAYS.items()
    ):
        if runs := pair[which].of(network):
            accuracy, nll, _, ece = mean_of(runs, step, bins=bins)
            row = {"runs": len(runs), "accuracy": accuracy, "NLL": nll, ECE: ece}
            rows[title, VARIANTS[network].title, way] = row
    return pd.DataFrame(rows).T


def correction_count(runs: Iterable[Run]) -> str:
    """In how many recorded runs with class weights prior correction lowers the NLL at all."""
    weighted = [run for run in runs if run.config.class_weights]
    lower = sum(mean_of([run], "prior")[1] < mean_of([run])[1] for run in weighted)
    counted = plural(len(weighted), "recorded run")
    return (
        f"Of {counted} on the real images with class weights, those of Phase 1 alone included, "
        f"prior correction lowers the NLL of {lower} and raises that of {len(weighted) - lower}."
    )


def finding(ways: pd.DataFrame, where: str, layers: Difference) -> str:
    """The section's finding on the images of this title in :func:`three_ways`: what the layers
    change, Proposed minus Baseline, and what the weights do."""
    rows = ways.sort_index().loc[where].loc["Baseline"]
    base, corrected, plain = rows[ECE].reindex(list(WAYS))
    without = (
        "" if np.isnan(plain) else f" and training without them by {error(plain - base, True)}"
    )
    runs = listed(dict.fromkeys(plural(int(n), "run") for n in rows.runs)).replace(", ", " or ")
    return (
        f"{beside.on(where)}, in the images' own class mix, Baseline has a mean class-wise ECE of "
        f"{error(base)}; the two layers change it by {error(layers.table.difference[ECE], True)} "
        f"({layers.p_value}), dividing the class weights out by {error(corrected - base, True)}"
        f"{without} ({runs} of each)."
    )
