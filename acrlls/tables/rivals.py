"""Section 15: ACR and LLS beside other losses, in recorded runs over paired seeds."""

import contextlib
from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from acrlls import calibration
from acrlls.config import UserError
from acrlls.method import VARIANTS
from acrlls.runs import Run, records
from acrlls.tables.compare import ECE, Difference, compare, measures
from acrlls.tables.recorded import STEP, Setting, probabilities
from acrlls.tables.words import error, number, plural, span

STEPS = ("", "temperature", STEP)
LOSSES = {
    "cross_entropy": "Cross-entropy",
    "label_smoothing": "Label smoothing",
    "focal": "Focal loss",
    "flsd53": "FLSD-53",
    "entropy_penalty": "Entropy penalty",
    "mbls": "MbLS",
    "correctness_ranking": "Correctness ranking",
    "mixup": "Mixup",
}
USUAL, OURS = LOSSES["cross_entropy"], VARIANTS["proposed"].title
METHODS = [*LOSSES.values(), OURS]
SURPLUS = "Surplus"  # mean confidence minus accuracy
MEASURES = ("NLL", "Accuracy", ECE, "AUGRC", SURPLUS)
NONE = "The runs that would answer this are not recorded; `results/rivals.sh` records them."


def recorded(*names: str, both: bool = False) -> list[Run]:
    """The runs through Phase 1 alone, or through both phases, of the records whose names begin so;
    none where there are none, and a ``UserError`` where two differ in other settings than method,
    class weights and seed."""
    found = {}
    for name in names:
        with contextlib.suppress(UserError):  # nothing is recorded
            every = records(name).values()
            found |= {run.folder: run for run in every if bool(run.config.phase2_epochs) == both}
    found = [run for run in found.values() if _method(run) in METHODS]
    keys = [(_method(run), run.config.class_weights, run.config.seed) for run in found]
    for method, _, seed in [key for key in keys if keys.count(key) > 1][:1]:
        raise UserError(
            f"recorded is {' and '.join(map(repr, names))}, by which there are two runs of "
            f"{method}, seed {seed}; give the beginning of the records' names"
        )
    return found


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
        for step in STEPS:
            p = probabilities(run, step)
            accuracy, nll, _, ece = measures(p, y, bins=bins)
            values = nll, accuracy, ece, augrc(p, y), p.max(axis=1).mean() - accuracy
            rows.append([c.class_weights, step, _method(run), c.seed, *values])
    return pd.DataFrame(rows, columns=["weighted", "step", "method", "seed", *MEASURES])


def _method(run: Run) -> str:
    c = run.config
    return LOSSES[c.loss] if c.variant == "baseline" else VARIANTS[c.variant].title


def summary(table: pd.DataFrame, weighted: bool) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, as text, of the runs of :func:`scores` with or
    without class weights; a row a step and method."""
    groups = table[table.weighted == weighted].groupby(["step", "method"])[list(MEASURES)]
    spread = groups.std().map(lambda sd: "" if np.isnan(sd) else f" ± {number(sd)}")
    text = groups.mean().map(number) + spread
    text = text.reindex([key for key in product(STEPS, METHODS) if key in text.index])
    titles = {step: calibration.METHODS[step].title if step else "as trained" for step in STEPS}
    return text.rename(index=titles, level=0).rename(columns={ECE: "ECE"})


def seeds_of(table: pd.DataFrame, weighted: bool) -> str:
    """How many seeds the methods have, such as "4 or 5 seeds", for a caption."""
    counts = sorted(set(table[table.weighted == weighted].groupby("method").seed.nunique()))
    return " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1]))) + " seeds a method"


def against(
    runs: Iterable[Run], weighted: bool, step: str, bins: int = 15, resamples: int = 200
) -> dict[str, Difference]:
    """Each method minus cross-entropy over the seeds that both have, as trained or after a step, of
    the runs with or without class weights."""
    found = {}
    for run in runs:
        if run.config.class_weights == weighted:
            found.setdefault(_method(run), {})[str(run.config.seed)] = run
    setting, usual = Setting("rivals", found), (USUAL, step)
    methods = [m for m in METHODS if m != USUAL and setting.common(usual, (m, step))]
    how = {"bins": bins, "resamples": resamples}
    return {method: compare(setting, usual, (method, step), **how) for method in methods}


def answer(
    table: pd.DataFrame,
    raw: dict[str, Difference],
    weighted: bool = True,
    where: str = "In runs of Phase 1 only",
) -> str:
    """Whether the ECE of most rival losses, as trained, is above that of cross-entropy, as was
    predicted, and how many differences are shown; from :func:`scores` and :func:`against`."""
    gaps = pd.Series({m: d.table.difference[ECE] for m, d in raw.items() if m != OURS})
    if gaps.empty:
        return NONE
    usual = table[(table.method == USUAL) & (table.weighted == weighted) & (table.step == "")]
    above, surplus = (gaps > 0).sum(), usual[SURPLUS].mean()
    held = ", as predicted" if above > len(gaps) / 2 else ", against the prediction"
    held *= bool(surplus <= 0)  # it was made for a network that is not overconfident
    shown = sum(raw[method].shows(ECE) == 1 for method in gaps.index) or "none"
    return (
        f"**{where}, the mean ECE lies above that of cross-entropy for {above} of "
        f"{plural(len(gaps), 'rival loss', 'rival losses')}{held}; the difference is shown for "
        f"{shown}.** Cross-entropy has {error(usual[ECE].mean())}, its rivals "
        f"{span(gaps + usual[ECE].mean(), error)}; its mean confidence minus its accuracy is "
        f"{number(100 * surplus, 1, True)} percentage points (each difference tested at 5 %, over "
        f"{plural(min(d.seeds for d in raw.values()), 'seed')} or more)."
    )


def after_scaling(scaled: dict[str, Difference]) -> str:
    """Which methods :func:`against` shows to have a lower or a higher NLL after vector scaling."""
    lower, higher = (
        ", ".join(m for m, d in scaled.items() if d.shows("NLL") == sign) or "no method"
        for sign in (-1, 1)
    )
    return (
        "After vector scaling, the intervals over seeds and images, each at 95 %, show a lower NLL "
        f"than cross-entropy for {lower}, and a higher one for {higher}."
    )
