"""Section 17: each table and figure with its commands, its minutes, and how far two runs differ."""

from collections.abc import Mapping

import pandas as pd

from acrlls.calibration import evaluate
from acrlls.method import VARIANTS
from acrlls.runs import Run, records

MEASURES = ["Accuracy", "Macro F1", "NLL", "Brier", "AUC", "ECE"]
OWN = "results/mine"  # where the commands record
LOSS, CURVE, SCALE = "Lowest loss of Phase 1", "Validation loss of an epoch", "LLS scale"
_ONE, _TWO, _THREE = (
    ["proposed"],
    ["baseline", "proposed"],
    ["baseline", "single_dense", "proposed"],
)
_ITEMS = {  # section, networks that it needs, and the measure that two runs are compared by
    "Table I": ("tuning", _ONE, LOSS),
    "Fig. 1": ("training", _ONE, CURVE),
    "Table II": ("lls_behaviour", _ONE, SCALE),
    "Table III": ("classification", _ONE, "Macro F1"),
    "Fig. 2": ("classification", _ONE, "ECE"),
    "Table IV": ("ablation", _THREE, "Accuracy"),
    "Table V": ("ablation", _THREE, "ECE"),
    "Fig. 3": ("gradcam", _ONE, None),
    "p of the gain in accuracy": ("ledger", _TWO, "Accuracy"),
}

Pairs = Mapping[str, tuple[Run, Run]]  # two runs with the same settings and seed, by network


def gaps(pairs: Pairs) -> pd.DataFrame:
    """The largest absolute difference over classes or epochs between the runs of each pair: a row
    a measure, a column a network."""
    moved = {VARIANTS[v].title: _gap(*pair) for v, pair in pairs.items()}
    return pd.DataFrame(moved).reindex([*MEASURES, SCALE, LOSS, CURVE])


def _gap(a: Run, b: Run) -> pd.Series:
    scores, losses, tuned = [], [], a.config.grid_epochs
    for run in (a, b):
        test = run.predictions("test")
        scores.append(evaluate(test.probabilities, test.labels, test.class_names)[MEASURES])
        losses.append(run.history.set_index(["phase", "epoch"]).val_loss)
    found = (scores[0] - scores[1]).abs().max()
    if VARIANTS[a.config.variant].lls:
        found[SCALE] = max((a.best_scales(k) - b.best_scales(k)).abs().max() for k in (1, 2))
    found[LOSS] = abs(losses[0].loc[1].head(tuned).min() - losses[1].loc[1].head(tuned).min())
    found[CURVE] = (losses[0] - losses[1]).abs().max()
    return found


def recorded_twice(profile: str = "laptop") -> Pairs:
    """Two recorded runs of each of the paper's networks with the same settings and seed."""
    runs = records(profile)
    return {v: (runs["", v], runs["seed-0", v]) for v in _THREE}


def commands(pairs: Pairs, grid: pd.DataFrame | None, profile: str = "laptop") -> str:
    """Markdown with a row for each item: its commands on phantoms and on the real images, the
    minutes of the first runs of the ``pairs``, or those that the epochs of the ``grid`` would take,
    and how far the pairs differ."""
    moved, runs = gaps(pairs), {variant: first for variant, (first, _) in pairs.items()}
    head = "| Item | On phantoms | On the real images | Minutes | Two runs differ by |"
    lines = [head, "|---|---|---|---|---|"]
    for item, (section, networks, measure) in _ITEMS.items():
        real = f"acrlls reproduce --profile {profile} --variants {' '.join(networks)} -o {OWN}"
        taken = f"{sum(runs[v].manifest['seconds_in_epochs'] for v in networks) / 60:.0f}"
        if item == "Table I":
            taken = _grid_minutes(runs, grid)
        if measure in (LOSS, None):  # the grid and the maps belong to no record
            real = f"acrlls run {section} -p profile {profile}"
        apart = "not recorded"
        if measure:
            most = moved.loc[measure, [VARIANTS[v].title for v in networks]].max()
            apart = f"{most:.3f} ({measure})"
        lines.append(f"| {item} | `acrlls run {section}` | `{real}` | {taken} | {apart} |")
    return "\n".join(lines)


def _grid_minutes(runs: Mapping[str, Run], grid: pd.DataFrame | None) -> str:
    """The first pair fills the feature bank; the epochs of the others read it."""
    if grid is None:
        return "not recorded"
    first = grid.epochs.max()
    seconds = runs["proposed"].history.query("phase == 1").seconds
    others = seconds.median() * (grid.epochs.sum() - first)
    return f"about {(seconds.head(first).sum() + others) / 60:.0f}"
