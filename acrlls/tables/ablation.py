"""Section 7: which of ACR, LLS and the class weights moves calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from acrlls import VARIANTS, calibration, paper, run_all
from acrlls.paper import CLASSES
from acrlls.runs import Run
from acrlls.tables import beside
from acrlls.tables.compare import ECE, Difference, classwise_ece, compare, mean_of
from acrlls.tables.recorded import UNWEIGHTED, Setting, probabilities
from acrlls.tables.words import number, plural, signed

WEIGHTED = ("baseline", "single_dense", "proposed", "acr_only", "lls_only", "single_dense_acr_lls")
PLAIN = WEIGHTED[:5]
WAYS = {"with class weights": (0, ""), "prior corrected": (0, "prior"), UNWEIGHTED: (1, "")}
Pair = tuple[Setting, Setting]  # runs with class weights, and without


def networks(config) -> Pair:
    """Runs of this build: the six variants with class weights, the first five without."""
    wanted = [(v, True) for v in WEIGHTED] + [(v, False) for v in PLAIN]
    runs = run_all(config.replace(variant=v, class_weights=w) for v, w in wanted)
    found = {True: {}, False: {}}
    for (variant, weighted), run in zip(wanted, runs, strict=True):
        found[weighted][variant] = {"here": run}
    title = beside.here(config)
    return Setting(title, found[True]), Setting(title, found[False])


def _beside(statistic, published, index, real: Setting, ours: Setting, resamples: int):
    """A table in the columns of :mod:`acrlls.tables.beside`, a row a network and quantity."""
    tables = {}
    for network in WEIGHTED:
        title, run = VARIANTS[network].title, ours.of(network)[0]
        test = run.predictions("test")
        here = statistic(test.probabilities, test.labels, np.ones(len(test.labels)))
        here = pd.Series(here, index(run.class_names))
        row = published.reindex(columns=index(CLASSES), index=[title]).loc[title]
        runs = real.of(network)
        about = row, statistic, runs, here, ours.title, run.class_names
        tables[title] = beside.columns(*about, resamples=resamples)
    # networks may be recorded with different numbers of runs
    tables = {t: table.rename(columns=_plain) for t, table in tables.items()}
    return pd.concat(tables)


def _plain(column: str) -> str:
    return column.split(",")[0]


def table_4(real: Setting, ours: Setting, resamples: int) -> pd.DataFrame:
    """Table IV, accuracy and macro F1, a row a network and score."""
    published = paper.table("IV").set_axis(["Accuracy", "Macro F1"], axis=1)
    columns = published.columns
    return _beside(beside.scores, published, lambda _: columns, real, ours, resamples)


def table_5(real: Setting, ours: Setting, resamples: int) -> pd.DataFrame:
    """Table V, class-wise ECE, a row a network and class."""
    return _beside(classwise_ece, paper.table("V"), pd.Index, real, ours, resamples)


def against_baseline(
    settings: Sequence[Setting], bins: int, resamples: int, mix: str = "own"
) -> dict[tuple[str, str], Difference]:
    """Each network minus the Baseline of its setting, by the setting's title and its own."""
    ending = ", paper's mix" if mix == "paper" else ""
    return {
        (s.title + ending, VARIANTS[n].title): compare(
            s, ("baseline", ""), (n, ""), mix, bins=bins, resamples=resamples
        )
        for s in settings
        for n in WEIGHTED[1:]
        if s.common(("baseline", ""), (n, ""))
    }


def differences_shown(found: dict[tuple[str, str], Difference]) -> pd.DataFrame:
    """Each difference with its interval in one cell, and the p-value of that in ECE."""
    rows = {}
    for key, difference in found.items():
        ends = difference.table[["difference", "low", "high"]]
        rows[key] = {m: signed(*ends.loc[m], 3) for m in ("Accuracy", "NLL")}
        ece = difference.table.loc[ECE]
        rows[key] |= {"ECE": number(ece.difference, 4, signed=True), "p": number(ece.p)}
    return pd.DataFrame(rows).T


def nll_intervals(found: dict[tuple[str, str], Difference]) -> pd.DataFrame:
    """The differences in NLL, as ``figures.plot_intervals`` takes them."""
    rows = {f"{n}, {s}": d.table.loc["NLL"] for (s, n), d in found.items()}
    table = pd.DataFrame(rows).T.rename(columns={"difference": "estimate"})
    return table[["estimate", "low", "high"]].astype(float)


def mcnemar_sentence() -> str:
    """How many discordant images the published difference in accuracy could bear."""
    n, table = int(paper.NUMBERS["split.test"].value), paper.table("IV")
    base, ours = (round(table.loc[m, "Accuracy"] * n) for m in ("Baseline", "Proposed"))
    won = ours - base
    needed = next(d for d in range(won, n, 2) if calibration.mcnemar((d + won) // 2, d) > 0.05)
    return (
        f"The published difference between Proposed and Baseline is {ours:,} against {base:,} of "
        f"{n:,} images, a net gain of {won} images. Whether it is more than chance depends on an "
        "unpublished number, that of the images which exactly one of the two classifies rightly: "
        f"McNemar's p stays below 0.05 if there are at most {needed - 2} of them."
    )


def single_dense(found: dict[tuple[str, str], Difference], title: str) -> str:
    """Whether the network without ACR and LLS gains as much as Proposed over Baseline.

    Args:
        found: of :func:`against_baseline`.
        title: of the setting.
    """
    rows = {n: found[title, n] for n in ("Single Dense", "Proposed") if (title, n) in found}
    if len(rows) < 2:
        return "Single Dense or Proposed is not recorded."
    said = []
    for name, difference in rows.items():
        ece, nll = difference.table.loc[ECE], difference.table.loc["NLL"]
        said.append(
            f"{name} changes Baseline's mean class-wise ECE by {number(ece.difference, 4, True)} "
            f"(p = {number(ece.p)}) and its NLL by {signed(nll.difference, nll.low, nll.high, 3)}"
        )
    gains = [d.table.loc["NLL", "difference"] for d in rows.values()]
    if min(gains) >= 0:
        verdict = "Neither network lowers Baseline's NLL"
    elif gains[0] <= gains[1]:
        verdict = "Without either layer, Single Dense gains as much as Proposed or more"
    else:
        verdict = "Proposed gains more than Single Dense"
    runs = min(d.pairs for d in rows.values())
    return f"**{verdict}.** {'; '.join(said)} ({plural(runs, 'run')} of each)."


def predictions(pair: Pair, networks: Sequence[str], ways: Sequence[str]) -> dict:
    """Test probabilities and labels of every run of some networks in some of the ``WAYS``, by
    title, for ``figures.prepare_ablation``."""
    found = {}
    for network in networks:
        for way in ways:
            which, step = WAYS[way]
            runs = pair[which].of(network)
            title = VARIANTS[network].title + (f", {way}" if len(ways) > 1 else "")
            if runs:
                found[title] = [
                    (probabilities(r, step), r.predictions("test").labels) for r in runs
                ]
    return found


def three_ways(pairs: Mapping[str, Pair], bins: int) -> pd.DataFrame:
    """Accuracy, NLL and mean class-wise ECE of each network with class weights, prior corrected,
    and trained without weights; a row a pair's title, network and way; means over the runs."""
    rows = {}
    for (title, pair), network, (way, (which, step)) in product(pairs.items(), PLAIN, WAYS.items()):
        if runs := pair[which].of(network):
            accuracy, nll, _, ece = mean_of(runs, step, bins=bins)
            row = {"runs": len(runs), "accuracy": accuracy, "NLL": nll, ECE: ece}
            rows[title, VARIANTS[network].title, way] = row
    return pd.DataFrame(rows).T


def correction_change(pair: Pair, resamples: int) -> dict[str, Difference]:
    """What prior correction changes in each network trained with class weights."""
    return {
        VARIANTS[n].title: compare(pair[0], (n, ""), (n, "prior"), resamples=resamples)
        for n in PLAIN
        if pair[0].of(n)
    }


def correction_count(runs: Iterable[Run]) -> str:
    """In how many recorded runs with class weights prior correction lowers the NLL at all."""
    weighted = [run for run in runs if run.config.class_weights]
    gains = [mean_of([r], "prior")[1] < mean_of([r])[1] for r in weighted]
    return (
        f"Of {plural(len(gains), 'recorded run')} on the real images with class weights, Phase 1 "
        f"alone included, prior correction lowers the NLL of {sum(gains)} and raises that of "
        f"{len(gains) - sum(gains)}."
    )


def correction_sentence(changes: dict[str, Difference], where: str) -> str:
    """In which networks prior correction lowers the NLL, and in which it raises it."""
    words = {-1: "lowers the NLL of", 1: "raises that of", 0: "does not clearly change that of"}
    said = []
    for sign, verb in words.items():
        names = [n for n, d in changes.items() if d.shows("NLL") == sign]
        if names:
            said.append(f"{verb if said else verb.replace('that', 'the NLL')} {', '.join(names)}")
    return f"{beside.on(where)}, prior correction {'; it '.join(said)}."


def finding(ways: pd.DataFrame, where: str, published: bool = True) -> str:
    """The section's finding on one set of images: what the layers change, and what the weights do.

    Args:
        ways: of :func:`three_ways`.
        where: the images, as titled there.
        published: whether to set the published change beside it.
    """
    ways = ways.sort_index()
    ece = ways.loc[where][ECE].unstack()
    base, trained = ece.loc["Baseline"], ece["with class weights"]
    theirs = (paper.table("V").loc["Proposed"] - paper.table("V").loc["Baseline"]).mean()
    parts = [
        f"the two layers change it by {number(trained['Proposed'] - trained['Baseline'], 4, True)}"
        + (f" (published: {number(theirs, 4, True)})" if published else ""),
        "dividing the class weights out by "
        + number(base["prior corrected"] - base["with class weights"], 4, True),
    ]
    if UNWEIGHTED in base and not np.isnan(base[UNWEIGHTED]):
        gap = base[UNWEIGHTED] - base["with class weights"]
        parts.append(f"training without them by {number(gap, 4, True)}")
    runs = int(ways.loc[where, "runs"].min())
    return (
        f"{beside.on(where)}, Baseline has a mean class-wise ECE of "
        f"{number(base['with class weights'], 4)}; "
        f"{', '.join(parts[:-1])} and {parts[-1]} ({plural(runs, 'run')} of each)."
    )


def reduction(table: pd.DataFrame) -> pd.DataFrame:
    """Share by which Proposed's ECE lies below Baseline's, by class, from :func:`table_5`."""
    numeric = table.drop(columns="difference", errors="ignore")
    ours, base = (numeric.xs(n, level=0) for n in ("Proposed", "Baseline"))
    return (1 - ours / base).rename_axis("class")
