"""Section 7: which of ACR, LLS and the class weights moves calibration."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from acrlls import VARIANTS, calibration, paper, run_all
from acrlls.tables import real

WEIGHTED = ("baseline", "single_dense", "proposed", "acr_only", "lls_only", "single_dense_acr_lls")
PLAIN = [VARIANTS[v].title for v in WEIGHTED[:5]]
WITHOUT = ", no class weights"
COMPARED = ["accuracy", "Brier", "miscalibration"]


def networks(config) -> dict:
    """Runs of the six variants with class weights and of the first five without, by title."""
    settings = [(v, True) for v in WEIGHTED] + [(v, False) for v in WEIGHTED[:5]]
    runs = run_all(config.replace(variant=v, class_weights=w) for v, w in settings)
    titles = [VARIANTS[v].title + ("" if w else WITHOUT) for v, w in settings]
    return dict(zip(titles, runs, strict=True))


def scores(tests: Mapping) -> pd.DataFrame:
    """Accuracy and macro F1 (Table IV) of predictions, a row a network."""
    rows = {
        title: [
            score(t.probabilities, t.labels) for score in (calibration.accuracy, calibration.f1)
        ]
        for title, t in tests.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["Accuracy", "F1"])


def differences(runs: Mapping, bins: int, resamples: int) -> dict[str, pd.DataFrame]:
    """:func:`acrlls.tables.real.paired_scores` of each network minus the Baseline trained alike.

    The last one is the Baseline without class weights minus the Baseline with them.
    """
    bare, found = "Baseline" + WITHOUT, {}
    for title in [t for t in runs if t not in ("Baseline", bare)] + [bare]:
        first = bare if title.endswith(WITHOUT) and title != bare else "Baseline"
        found[title] = real.paired(runs[first], runs[title], resamples, bins)
    return found


def differences_shown(pairs: Mapping[str, pd.DataFrame]):
    """Each difference with its interval in one cell, a row a network."""
    rows = {}
    for title, pair in pairs.items():
        ends = pair.loc[COMPARED, ["estimate", "low", "high"]].T
        rows[title] = {name: real.signed(*ends[name], digits=3) for name in COMPARED}
        rows[title]["McNemar p"] = f"{pair.loc['accuracy', 'McNemar p']:.3f}"
    caption = "Difference from the Baseline trained alike, with its 95 % paired interval"
    return pd.DataFrame(rows).T.style.set_caption(caption)


def mcnemar_sentence() -> str:
    """How many discordant images the published difference in accuracy could bear."""
    n, table = int(paper.NUMBERS["split.test"].value), paper.table("IV")
    base, ours = (round(table.loc[m, "Accuracy"] * n) for m in ("Baseline", "Proposed"))
    won = ours - base
    needed = next(d for d in range(won, n, 2) if real.mcnemar((d + won) // 2, d) > 0.05)
    return (
        f"The published difference between Proposed and Baseline is {ours:,} against {base:,} of "
        f"{n:,} images, a net gain of {won} images. Whether it is more than chance depends on an "
        "unpublished number, that of the images which exactly one of the two classifies rightly: "
        f"McNemar's p stays below 0.05 if there are at most {needed - 2} of them."
    )


def ece_sentence(ece: pd.DataFrame, above: pd.DataFrame) -> str:
    """How many ECEs say something, and in how many classes Proposed has the lower one.

    Args:
        ece: a row a network, a column a class.
        above: whether each lies above the 95 % quantile of its noise floor, the same shape.
    """
    lower = (ece.loc["Proposed"] < ece.loc["Baseline"]).sum()
    return (
        f"{above.size - above.to_numpy().sum()} of the {above.size} ECEs lie within or below their "
        f"grey bar and show no miscalibration. Proposed has a lower ECE than Baseline in {lower} "
        f"of {ece.shape[1]} classes."
    )


def three_ways(runs: Mapping, bins: int, resamples: int) -> pd.DataFrame:
    """Each network with class weights, prior corrected, and trained without them.

    Returns:
        Rows (network, way), columns of :func:`acrlls.tables.real.scores`.
    """
    table, rows = real.calibration_table(runs, bins, resamples), {}
    for title in PLAIN:
        rows[title, "with class weights"] = table.loc[(title, "as trained")]
        rows[title, "prior corrected"] = table.loc[(title, "prior corrected")]
        rows[title, "without class weights"] = table.loc[(title + WITHOUT, "as trained")]
    return pd.DataFrame(rows).T


def three_ways_of(runs: Mapping) -> dict:
    """The three ways of Baseline, Single Dense and Proposed, for ``figures.prepare_ablation``."""
    ways = {}
    for title in PLAIN[:3]:
        test, plain = (runs[t].predictions("test") for t in (title, title + WITHOUT))
        ways[title] = test.probabilities, test.labels
        ways[f"{title}, prior corrected"] = real.recalibrate(runs[title], "prior"), test.labels
        ways[title + WITHOUT] = plain.probabilities, plain.labels
    return ways


def correction_changes(runs: Mapping, bins: int, resamples: int) -> dict[str, pd.DataFrame]:
    """:func:`acrlls.tables.real.paired_scores` of prior correction, for each of five networks."""
    found = {}
    for title in PLAIN:
        test, corrected = runs[title].predictions("test"), real.recalibrate(runs[title], "prior")
        found[title] = real.paired_scores(
            test.probabilities, corrected, test.labels, resamples, bins
        )
    return found


def effects(ways: pd.DataFrame) -> pd.DataFrame:
    """Change of each network's mean class-wise ECE, from :func:`three_ways`."""
    ece = ways["ECE"].unstack().loc[PLAIN]
    weighted = ece["with class weights"]
    return pd.DataFrame(
        {
            "ECE": weighted,
            "floor, mean": ways["floor, mean"].unstack().loc[PLAIN, "with class weights"],
            "by prior correction": ece["prior corrected"] - weighted,
            "by training without weights": ece["without class weights"] - weighted,
            "by the layers": weighted - weighted["Baseline"],
        }
    )


def finding(effect: pd.DataFrame, nll: pd.Series) -> str:
    """The section's finding.

    Args:
        effect: of :func:`effects`.
        nll: ``low`` and ``high`` of the Baseline's change of NLL by prior correction.
    """
    base, table = effect.loc["Baseline"], paper.table("V")
    theirs = (table.loc["Proposed"] - table.loc["Baseline"]).mean()
    verb = "improves" if nll.high < 0 else "worsens" if nll.low > 0 else "does not clearly change"
    return (
        f"Baseline has a mean class-wise ECE of {base['ECE']:.4f} (under perfect calibration: "
        f"{base['floor, mean']:.4f} on average). ACR and LLS together change it by "
        f"{effect.loc['Proposed', 'by the layers']:+.4f} (published: {theirs:+.4f}), dividing the "
        f"class weights out of the same Baseline by {base['by prior correction']:+.4f}, and "
        f"training it without them by {base['by training without weights']:+.4f}. By NLL, prior "
        f"correction {verb} the Baseline. One seed."
    ).replace("-0", "−0")
