"""Section 3: settings of Fig. 1, kept epochs, accuracy of both phases, what the backbone brings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from acrlls.calibration import METRICS, bootstrap
from acrlls.config import Config
from acrlls.paper import NUMBERS, show
from acrlls.runs import Run, run_all
from acrlls.tables import beside
from acrlls.tables.words import number, plural

PHASES = {
    "Phase 1": "accuracy.phase1",
    "Phase 2": "accuracy.proposed",
    "gain": "accuracy.phase_gain",
}


def settings(model, config: Config):
    """Settings of head and training, published and ours."""
    head = {layer.name: layer.get_config() for layer in model.layers}
    rows = {}
    for key, n in NUMBERS.items():
        part, _, name = key.partition(".")
        if part in ("head", "phase1", "phase2"):
            layer = head.get("logits" if name == "classes" else name, {})
            of_config = name if hasattr(config, name) else f"{part}_{name}"
            ours = layer.get("units", layer.get("rate", getattr(config, of_config, np.nan)))
            rows[n.what] = {"published": n.value, "ours": ours}
    both = pd.DataFrame(rows).T
    return both.style.format("{:g}", na_rep="–").set_caption("Settings, published and ours")


def kept(run: Run):
    """The epoch that each phase kept, and from which phase the returned model is."""
    rows = {f"Phase {phase}": run.best_epoch(phase) for phase in sorted(set(run.history.phase))}
    scores = {
        "loss": "training loss",
        "val_loss": "validation loss",
        "accuracy": "training accuracy",
        "val_accuracy": "validation accuracy",
    }
    shown = pd.DataFrame(rows).T[["epoch", *scores]].rename(columns=scores)
    decimals = {**dict.fromkeys(shown, 3), "epoch": 0}
    caption = "The epoch that each phase kept; the model returned is that of Phase "
    return show(shown, decimals, f"{caption}{run.manifest['selected_phase']}")


def accuracies(real: Sequence[Run], run: Run, title: str, resamples: int) -> pd.DataFrame:
    """Test accuracy of both phases and their paired difference, in the columns of
    :mod:`acrlls.tables.beside`."""
    both = [run.predictions("test", phase).probabilities for phase in (1, None)]
    labels = run.predictions("test").labels
    ours = pd.Series(beside.phases(both, labels, np.ones(len(labels))), list(PHASES))
    published = pd.Series({row: NUMBERS[key].value for row, key in PHASES.items()})
    how = {"classes": run.class_names, "phases": (1, None), "resamples": resamples}
    return beside.columns(published, beside.phases, real, ours, title, **how)


def turned(run: Run) -> str:
    """How many answers Phase 2 changed, and what can be said of the published accuracies."""
    first, last = run.predictions("test", phase=1), run.predictions("test")
    right1, right2 = first.classes == first.labels, last.classes == last.labels
    n = int(NUMBERS["split.test"].value)
    ends = []
    for key in ("accuracy.phase1", "accuracy.proposed"):
        test = binomtest(round(NUMBERS[key].value * n), n).proportion_ci(method="wilson")
        ends.append(f"{number(test.low)} to {number(test.high)}")
    changed = (
        f"Phase 2 turned {(right2 & ~right1).sum()} wrong answers right and "
        f"{(right1 & ~right2).sum()} right ones wrong."
    )
    if run.manifest["selected_phase"] == 1:
        changed = "The model of Phase 1 was returned, so the gain is zero by construction."
    if not beside.is_paper(run.class_names):
        return changed
    return (
        f"{changed} From the number of its test images alone, the published accuracy has the 95 % "
        f"interval {ends[0]} after Phase 1, and {ends[1]} after Phase 2."
    )


def finding(runs: Sequence[Run], resamples: int, where: str) -> str:
    """Whether Phase 2 gains accuracy, over some runs."""
    found = beside.estimate(beside.phases, runs, (1, None), resamples)
    (one, two, gain), (*_, low), (*_, high) = found
    verdict = "does not clearly raise" if low <= 0 <= high else "raises" if low > 0 else "lowers"
    said = (
        f"**{beside.on(where)}, Phase 2 {verdict} the test accuracy**: from {number(one)} to "
        f"{number(two)}, a gain of {number(gain)} with the 95 % interval {number(low)} to "
        f"{number(high)} over {plural(len(runs), 'run')} and the test images."
    )
    theirs = [number(NUMBERS[key].value) for key in PHASES.values()]
    if beside.is_paper(runs[0].class_names):
        said += f" Published: from {theirs[0]} to {theirs[1]}."
    return said


def backbone(config: Config, both_phases: bool) -> pd.DataFrame:
    """Test scores with the config's backbone against random weights, trained through both phases,
    or through Phase 1 alone on two views an image: a row a metric and phase, with the 95 % paired
    interval of the difference; no rows if the backbone is random already.
    """
    columns = ["pretrained", "random start", "difference", "low", "high"]
    if config.backbone == "random":
        return pd.DataFrame(columns=columns)
    same = config if both_phases else config.replace(phase2_epochs=0, views=2)
    runs, rows = run_all([same, same.replace(backbone="random")]), {}
    for phase in (1, 2)[: 1 + both_phases]:
        test = [run.predictions("test", phase) for run in runs]
        (p, other), y = (t.probabilities for t in test), test[0].labels
        for name in ("accuracy", "nll"):
            metric = METRICS[name]
            gain = bootstrap(p, y, name, config.resamples, p2=other)
            values = [metric(p, y), metric(other, y), gain.estimate, gain.low, gain.high]
            rows[f"{metric.title}, Phase {phase}"] = values
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def transfer(table: pd.DataFrame, classes: int) -> str:
    """What the table of :func:`backbone` shows, for a number of classes."""
    if table.empty:
        return "The backbone is random already, so there is nothing to compare it with."
    said = []
    for name, row in table[table.index.str.startswith("Accuracy")].iterrows():
        verdict = "**beats** the random start" if row.low > 0 else "**falls behind** it"
        if row.low <= 0 <= row.high:
            verdict = "**cannot be told from** the random start (the interval holds zero)"
        said.append(f"in {name.split(', ')[1]} the pretrained backbone {verdict}")
    return (
        f"By accuracy, with one seed, {' and '.join(said)}. After Phase 1 the NLL of the random "
        f"start is {number(table.loc['NLL, Phase 1', 'random start'])}; a network that has learnt "
        f"nothing, and gives each class the same probability, has ln {classes} = "
        f"{number(np.log(classes))}."
    )
