"""Section 15: ACR and LLS beside other losses, in recorded runs of Phase 1, over paired seeds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from sklearn.metrics import roc_auc_score

from acrlls.calibration import holm
from acrlls.config import UserError
from acrlls.method import VARIANTS
from acrlls.runs import Run, records
from acrlls.tables.compare import ECE, measures
from acrlls.tables.recorded import STEP, probabilities, step_title
from acrlls.tables.words import listed, number, plural

STEPS = ("", "temperature", STEP)
LOSSES = {
    "cross_entropy": "Cross-entropy",
    "label_smoothing": "Label smoothing",
    "focal": "Focal loss",
    "flsd53": "FLSD-53",
    "entropy_penalty": "Entropy penalty",
    "mbls": "Margin-based label smoothing",
    "correctness_ranking": "Correctness ranking",
    "mixup": "Mixup of pooled features",
}
USUAL, OURS = LOSSES["cross_entropy"], VARIANTS["proposed"].title
METHODS = [*LOSSES.values(), OURS]
SURPLUS = "Confidence − accuracy"
MEASURES = ("NLL", "Accuracy", ECE, "AUGRC", SURPLUS)
NONE = "The runs that would answer this are not recorded; `results/rivals.sh` records them."


def recorded(name: str = "rivals") -> list[Run]:
    """The runs that the study of rivals recorded; none where there are none."""
    try:
        return list(records(name).values())
    except UserError:
        return []


def augrc(p, y) -> float:
    """Area under the generalised risk-coverage curve, in [0, 1/2], of probabilities ``(n,
    classes)`` and labels ``(n,)``: the mean over all coverages of the share of images that are
    accepted, those of the largest confidence first, and wrong. Reference: J. Traub et al.,
    "Overcoming common flaws in the evaluation of selective classification systems", NeurIPS 2024.
    """
    right = p.argmax(axis=1) == y
    e = 1 - right.mean()
    ranked = roc_auc_score(right, p.max(axis=1)) if 0 < e < 1 else 1.0
    return float(e * (1 - e) * (1 - ranked) + e**2 / 2)


def scores(runs: Iterable[Run], bins: int = 15) -> pd.DataFrame:
    """The ``MEASURES`` of each run on its test images; a row a run and step, with its method, seed
    and whether classes were weighted."""
    rows = []
    for run in runs:
        c, y = run.config, run.predictions("test").labels
        method = LOSSES[c.loss] if c.variant == "baseline" else VARIANTS[c.variant].title
        for step in STEPS:
            p = probabilities(run, step)
            accuracy, nll, _, ece = measures(p, y, bins=bins)
            values = nll, accuracy, ece, augrc(p, y), p.max(axis=1).mean() - accuracy
            rows.append([c.class_weights, step, method, c.seed, *values])
    return pd.DataFrame(rows, columns=["weighted", "step", "method", "seed", *MEASURES])


def summary(table: pd.DataFrame, weighted: bool) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, as text, of the runs of :func:`scores` with or
    without class weights; a row a step and method."""
    groups = table[table.weighted == weighted].groupby(["step", "method"])[list(MEASURES)]
    spread = groups.std().map(lambda sd: "" if np.isnan(sd) else f" ± {number(sd)}")
    text = groups.mean().map(number) + spread
    text.insert(0, "seeds", groups.size().astype(str))
    text = text.reindex([key for key in product(STEPS, METHODS) if key in text.index])
    return text.rename(index=step_title, level=0).rename(columns={ECE: "mean ECE"})


def paired(table: pd.DataFrame, weighted: bool, step: str, measure: str) -> pd.DataFrame:
    """Each method minus cross-entropy over the seeds that both have, a row a method: seeds, mean
    difference, p of the exact two-sided test in which each seed's difference may change its sign,
    and Holm's p over the methods."""
    of = table[(table.weighted == weighted) & (table.step == step)]
    wide = of.pivot(index="seed", columns="method", values=measure).reindex(columns=METHODS)
    gaps, rows = wide.drop(columns=USUAL).sub(wide[USUAL], axis=0), {}
    for method, gap in gaps.items():
        if len(gap := gap.dropna().to_numpy()):
            rows[method] = {"seeds": len(gap), "difference": gap.mean(), "p": _sign_flip(gap)}
    found = pd.DataFrame(rows, index=["seeds", "difference", "p"]).T
    return found.assign(**{"p (Holm)": holm(found.p)})


def _sign_flip(gap: np.ndarray) -> float:
    """Exact p-value of differences ``(seeds,)`` of which each might have had the other sign."""
    if len(gap) < 2:
        return 1.0  # either sign of one difference is as large
    test = permutation_test((gap,), np.mean, permutation_type="samples", n_resamples=np.inf)
    return float(test.pvalue)


def differences(table: pd.DataFrame, weighted: bool) -> pd.DataFrame:
    """:func:`paired` as text, the difference and Holm's p; a column a measure and step."""
    columns = {}
    for measure, step in product(("NLL", ECE, "AUGRC"), ("", STEP)):
        rows = paired(table, weighted, step, measure)
        gaps = rows.difference.map(lambda gap: number(gap, 3, True))
        columns[measure, step_title(step)] = gaps + rows["p (Holm)"].map(" ({:.2f})".format)
    return pd.DataFrame(columns)


def answer(table: pd.DataFrame, weighted: bool = True) -> str:
    """Whether the raw ECE of most rival losses is above that of cross-entropy, as was predicted,
    and how many differences from it are shown."""
    raw = paired(table, weighted, "", ECE).drop(OURS, errors="ignore")
    if raw.empty:
        return NONE
    usual = table[(table.method == USUAL) & (table.weighted == weighted) & (table.step == "")]
    above, surplus = raw.index[raw.difference > 0], usual[SURPLUS].mean()
    shown = (raw["p (Holm)"] < 0.05).sum()
    held = "holds" if len(above) > len(raw) / 2 else "does not hold"
    return (
        f"**The prediction {held}: the mean ECE as trained is above that of cross-entropy for "
        f"{len(above)} of {plural(len(raw), 'loss', 'losses')}** ({listed(above)}). "
        f"Cross-entropy's mean confidence minus its accuracy is {number(100 * surplus, 1, True)} "
        f"percentage points. Over {plural(int(raw.seeds.min()), 'seed')}, {shown or 'none'} of "
        "these differences is shown (Holm's p < 0.05)."
    )
