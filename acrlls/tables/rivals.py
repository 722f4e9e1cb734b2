"""Section 15: ACR and LLS beside other losses, in recorded runs over paired seeds."""

import contextlib
from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from sklearn.metrics import roc_auc_score

from acrlls import calibration
from acrlls.calibration import holm
from acrlls.config import UserError
from acrlls.method import VARIANTS
from acrlls.runs import Run, records
from acrlls.tables.compare import ECE, MIXES, interval, measures, weighted_mean
from acrlls.tables.recorded import STEP, UNWEIGHTED, mix_weights, probabilities
from acrlls.tables.words import error, number, plural, signed

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
            for run in records(name).values():
                key = _method(run), run.config.class_weights, run.config.seed
                if bool(run.config.phase2_epochs) == both and key[0] in METHODS:
                    found.setdefault(key, []).append(run)
    for (method, _, seed), (run, *others) in found.items():
        if others:
            raise UserError(
                f"recorded is {' and '.join(map(repr, names))}, by which there are two runs of "
                f"{method}, seed {seed}: {run.folder} and {others[0].folder}; give the beginning "
                "of the records' names"
            )
    return [run for (run,) in found.values()]


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


def errors_of_each(table: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Mean class-wise ECE as trained of the runs of :func:`scores`, by setting and method."""
    raw, titles = table[table.step == ""], {True: "with class weights", False: UNWEIGHTED}
    shown = sorted(METHODS, key=[USUAL, OURS, *METHODS].index)
    return {
        title: {m: list(rows[ECE][rows.method == m]) for m in shown if m in set(rows.method)}
        for weighted, title in titles.items()
        if len(rows := raw[raw.weighted == weighted])
    }


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


def paired(table: pd.DataFrame, weighted: bool, step: str, measure: str) -> pd.DataFrame:
    """Each method minus cross-entropy over the seeds that both have, a row a method: seeds, mean
    difference, p of the exact two-sided test in which each seed's difference may change its sign,
    and Holm's p over the methods."""
    of = table[(table.weighted == weighted) & (table.step == step)]
    wide = of.pivot(index="seed", columns="method", values=measure).reindex(columns=METHODS)
    gaps, rows = wide.drop(columns=USUAL).sub(wide[USUAL], axis=0), {}
    flips = {"permutation_type": "samples", "n_resamples": np.inf}
    for method, gap in gaps.items():
        if n := len(gap := gap.dropna().to_numpy()):  # either sign of one is as large
            p = permutation_test((gap,), np.mean, **flips).pvalue if n > 1 else 1.0
            rows[method] = n, gap.mean(), p
    found = pd.DataFrame(rows, ["seeds", "difference", "p"]).T
    return found.assign(**{"p (Holm)": holm(found.p)})


def gaps_in_nll(runs: Iterable[Run], weighted, resamples=1000, mix="own") -> pd.DataFrame:
    """NLL after vector scaling, in a class mix, of each method minus that of cross-entropy, with a
    95 % interval over seeds and images of :func:`acrlls.tables.compare.interval`; a row a method.
    """
    losses, rows = {}, {}
    for run in (r for r in runs if r.config.class_weights == weighted):
        y, weights = run.predictions("test").labels, mix_weights(run, mix)
        nll = -np.log(probabilities(run, STEP, mix)[np.arange(len(y)), y].clip(1e-15))
        losses.setdefault(_method(run), {})[run.config.seed] = nll
    usual = losses.pop(USUAL, {})
    for method in [m for m in METHODS if losses.get(m, {}).keys() & usual]:
        both = sorted(losses[method].keys() & usual)
        gaps = np.array([losses[method][s] - usual[s] for s in both])[:, :, None]
        about = lambda gaps, _, weights: weighted_mean(gaps, weights), gaps, y, weights
        rows[method] = np.ravel(interval(*about, both, resamples))
    return pd.DataFrame(rows, index=["difference", "low", "high"]).T


def differences(table: pd.DataFrame, gaps: pd.DataFrame, weighted: bool) -> pd.DataFrame:
    """:func:`paired` as text, with Holm's p where the seeds are enough for one to be small, and the
    interval of :func:`gaps_in_nll`; a column a measure and step."""
    columns = {}
    for measure, step in product(("NLL", ECE), ("", STEP)):
        rows = paired(table, weighted, step, measure)
        text = rows.difference.map(lambda gap: number(gap, signed=True))
        if _testable(rows):
            text += rows["p (Holm)"].map(" ({:.2f})".format)
        if (measure, step) == ("NLL", STEP):
            text = pd.Series({m: signed(*row) for m, row in gaps.iterrows()}, dtype=object)
        columns["ECE" if measure == ECE else measure, "scaled" if step else "as trained"] = text
    return pd.DataFrame(columns)


def _testable(rows: pd.DataFrame) -> bool:
    """Whether the seeds of :func:`paired` can give a Holm-corrected p below 0.05 at all."""
    return bool(len(rows)) and len(rows) * 2 / 2 ** rows.seeds.min() < 0.05


def answer(
    table: pd.DataFrame, weighted=True, where="In runs of Phase 1 only", predicted=True
) -> str:
    """Whether the raw ECE of most rival losses is above that of cross-entropy, as was ``predicted``
    of some runs, and how many differences from it are shown."""
    every = paired(table, weighted, "", ECE)
    raw = every.drop(OURS, errors="ignore")
    if raw.empty:
        return NONE
    trained = table[(table.weighted == weighted) & (table.step == "")]
    usual = trained[trained.method == USUAL]
    above, surplus = raw.index[raw.difference > 0], usual[SURPLUS].mean()
    held = ", as predicted" if len(above) > len(raw) / 2 else ", against the prediction"
    held *= bool(predicted and surplus <= 0)  # it was made for a network that is not overconfident
    tested = (
        f"with {plural(int(raw.seeds.min()), 'seed')} no loss can reach a Holm-corrected p < 0.05"
    )
    if _testable(every):
        shown = (raw["p (Holm)"] < 0.05).sum()
        tested = f"{shown or 'none'} of the differences {'is' if shown < 2 else 'are'} significant"
        tested += " (Holm's p < 0.05)"
    means, ours = trained.groupby("method")[ECE].mean()[raw.index], ""
    if OURS in every.index:
        gap, p = every.loc[OURS, ["difference", "p (Holm)"]]
        told = f" (Holm's p = {number(p, 2)})" if _testable(every) else ""
        ours = f"{OURS} differs from cross-entropy by {error(gap, True)}{told}. "
    return (
        f"**{where}, the mean ECE lies above that of cross-entropy for {len(above)} of "
        f"{plural(len(raw), 'rival loss', 'rival losses')}{held}; {tested}.** Cross-entropy has "
        f"{error(usual[ECE].mean())}, its rivals {error(means.min())} ({means.idxmin()}) to "
        f"{error(means.max())} ({means.idxmax()}). {ours}Cross-entropy's mean confidence minus its "
        f"accuracy is {number(100 * surplus, 1, True)} percentage points."
    )


def after_scaling(gaps: pd.DataFrame, mix="own") -> str:
    """Which methods :func:`gaps_in_nll` shows to have a lower or a higher NLL in a class mix."""

    def are(methods) -> str:
        """Such as "A, B and C are"."""
        *first, last = methods if len(methods) else ["no method"]
        return f"{', '.join(first)} and {last} are" if first else f"{last} is"

    better, worse = gaps.index[gaps.high < 0], gaps.index[gaps.low > 0]
    if not len(better) + len(worse):
        return (
            f"After vector scaling, {MIXES[mix]}, no method (of {len(gaps)}) is shown to have "
            "another NLL than cross-entropy: each 95 % interval, over seeds and images, contains "
            "zero."
        )
    return (
        f"After vector scaling, {MIXES[mix]}, {are(better)} shown to have a lower NLL than "
        f"cross-entropy, and {are(worse)} shown to have a higher one. For the other "
        f"{len(gaps) - len(better) - len(worse)} of {plural(len(gaps), 'method')} no difference "
        "could be shown: the interval over seeds and images, each at 95 %, contains zero."
    )
