"""Networks compared on recorded logits: with each other and with one post-hoc step, over seeds, in
two class mixes.

Everything is computed from recorded logits.  A *step* is a post-hoc method fitted on the validation
images of the same run; those images also chose the kept epoch, so neither side saw a test label.  A
*mix* is a set of class shares: the test images' own, or the published one, for which each image is
weighted by the published share of its class over the share here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import softmax

from acrlls import calibration
from acrlls.method import VARIANTS
from acrlls.paper import CLASSES, table
from acrlls.runs import Run, training_weights

# the post-hoc step that the findings name: one scale and one shift a class, so it contains LLS
STEP = "vector"
NETWORKS = ("baseline", "single_dense", "proposed")
Side = tuple[str, str]  # a network and a step, "" for none
READING = "with statistics "  # a step: prediction by another reading of BatchNorm's statistics
REESTIMATED = READING + "reestimated"


@dataclass(frozen=True)
class Setting:
    """Runs that differ in network and seed alone.

    Attributes:
        title: as tables show it.
        runs: by network and by the name of the record's group, such as ``"laptop-seed-1"``: runs
            of one group share seed, code and machine, so a pair is taken from one group.
    """

    title: str
    runs: dict[str, dict[str, Run]]

    def groups(self, *networks: str) -> list[str]:
        """Groups in which all of some networks are recorded."""
        return sorted(set.intersection(*[set(self.runs.get(n, ())) for n in networks]))


def settings(records) -> list[Setting]:
    """Recorded runs through both phases by setting: the published reading first, then what was
    changed, by its name.
    """
    found: dict[str, dict] = {}
    for run in records:
        if run.config.phase2_epochs:
            group = found.setdefault(_title(run.config), {})
            group.setdefault(run.config.variant, {})[run.folder.parent.name] = run
    return [
        Setting(title, found[title])
        for title in sorted(found, key=lambda t: (t != AS_PUBLISHED, t))
    ]


AS_PUBLISHED = "as published"


def _title(config) -> str:
    changes = {
        "without class weights": not config.class_weights,
        "BatchNorm frozen": config.batchnorm == "frozen",
        "input −1 to 1": config.input_range == "-1..1",
        "without augmentation": not config.augment,
    }
    return ", ".join(name for name, changed in changes.items() if changed) or AS_PUBLISHED


def offers(run: Run, step: str) -> bool:
    """Whether a step can be had of a run: any method can, a reading where it was recorded."""
    return not step.startswith(READING) or step.removeprefix(READING) in readings(run)


def probabilities(run: Run, step: str = "") -> np.ndarray:
    """Test probabilities `(n, classes)` of a run, as trained or after a step: a name in
    ``calibration.METHODS``, or ``READING`` and a reading of BatchNorm's statistics.
    """
    test = run.predictions("test")
    if not step:
        return test.probabilities
    if step.startswith(READING):
        return readings(run)[step.removeprefix(READING)][0]
    method = calibration.METHODS[step].make(training_weights(run))
    return method.fit(run.predictions("validation")).predict_proba(test)


def mix_weights(run: Run, mix: str) -> np.ndarray:
    """A weight for each test image `(n,)`, of mean one: all one in the mix ``"own"``, and in
    ``"paper"`` such that the classes have their published shares.

    Raises:
        ValueError: another mix, or classes that are not the paper's.
    """
    labels = run.predictions("test").labels
    if mix == "own":
        return np.ones(len(labels))
    if mix != "paper":
        raise ValueError(f"mix is {mix!r}; choose one of: own, paper")
    if run.class_names != CLASSES:
        raise ValueError(
            f"the published mix is of {', '.join(CLASSES)}, not of {', '.join(run.class_names)}"
        )
    published = table("III").loc[list(CLASSES), "Support"].to_numpy(float)
    return (published / published.sum() * len(labels) / np.bincount(labels))[labels]


def measures(p, labels, weights=None, bins: int = 15) -> dict[str, float]:
    """Accuracy, NLL, Brier score and mean class-wise ECE of probabilities `(n, classes)`, each
    image by its weight.
    """
    right, nll, brier = image_scores(p, labels)
    return {
        "Accuracy": float(np.average(right, weights=weights)),
        "NLL": float(np.average(nll, weights=weights)),
        "Brier score": float(np.average(brier, weights=weights)),
        "Mean class-wise ECE": weighted_ece(p, labels, weights, bins),
    }


def image_scores(p, labels) -> np.ndarray:
    """Whether each image is right, its NLL and its Brier score, `(3, n)`."""
    truth = np.eye(p.shape[1])[labels]
    return np.stack(
        [
            p.argmax(axis=1) == labels,
            -np.log(p[np.arange(len(p)), labels].clip(1e-15)),
            np.square(p - truth).sum(axis=1),
        ]
    )


def weighted_ece(p, labels, weights, bins: int = 15) -> float:
    """Mean class-wise ECE in bins of equal width, each image by its weight."""
    n, classes = p.shape
    weights = np.ones(n) if weights is None else weights
    place = np.ceil(p * bins).clip(1, bins).astype(int) - 1 + bins * np.arange(classes)
    gap = (np.eye(classes)[labels] - p) * weights[:, None]
    sums = np.bincount(place.ravel(), gap.ravel(), minlength=bins * classes)
    return float(np.abs(sums).sum() / weights.sum() / classes)


def networks(
    found: Sequence[Setting], steps: Sequence[str] = ("", STEP), mix: str = "own", bins: int = 15
) -> pd.DataFrame:
    """Mean over the seeds of each measure; a row a setting and network, a column a step and
    measure.
    """
    rows = {}
    for setting in found:
        for network in NETWORKS:
            runs = list(setting.runs.get(network, {}).values())
            if not runs:
                continue
            row = {("", "runs"): len(runs)}
            for step in steps:
                each = [
                    measures(
                        probabilities(r, step),
                        r.predictions("test").labels,
                        mix_weights(r, mix),
                        bins,
                    )
                    for r in runs
                ]
                row |= {
                    (step_title(step), name): v for name, v in pd.DataFrame(each).mean().items()
                }
            rows[setting.title, VARIANTS[network].title] = row
    return pd.DataFrame(rows).T


def in_both_mixes(found: Sequence[Setting]) -> pd.DataFrame:
    """:func:`networks` as trained; a column a mix and measure."""
    titles = {"own": "in the images' own mix", "paper": "in the paper's mix"}
    tables = {titles[mix]: networks(found, ("",), mix)["as trained"] for mix in titles}
    return pd.concat(tables, axis=1)


def step_title(step: str) -> str:
    if step.startswith(READING):
        return step
    return f"after {calibration.METHODS[step].title}" if step else "as trained"


def name_of(side: Side) -> str:
    """Such as "Baseline after vector scaling", or "Proposed"."""
    network, step = side
    return VARIANTS[network].title + (f" {step_title(step)}" if step else "")


SIDES = (
    ("baseline", ""),
    ("single_dense", ""),
    ("proposed", ""),
    ("baseline", STEP),
    ("proposed", STEP),
)


def errors_of_each(found: Sequence[Setting], bins: int = 15, resamples: int = 1000):
    """Mean class-wise ECE of every seed by setting and side, and by setting the value that perfect
    calibration with the scores of Baseline after the step stays below in 95 % of test sets."""
    values, floors = {}, {}
    for setting in found:
        values[setting.title] = {
            name_of((network, step)): [
                measures(probabilities(run, step), run.predictions("test").labels, None, bins)[
                    "Mean class-wise ECE"
                ]
                for run in setting.runs[network].values()
            ]
            for network, step in SIDES
            if network in setting.runs
        }
        run = next(iter(setting.runs["baseline"].values()))
        floor = calibration.noise_floor(probabilities(run, STEP), bins=bins, resamples=resamples)
        floors[setting.title] = float(np.quantile(floor.classwise.mean(axis=1), 0.95))
    return values, floors


def readings(run: Run) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Test probabilities and labels of a run by each reading of BatchNorm's statistics at
    prediction: the run's own, and those that were measured on the same training."""
    own = run.predictions("test")
    found = {str(run.config.batchnorm_statistics[0]): (own.probabilities, own.labels)}
    file = run.folder / "statistics_predictions.csv.gz"
    if file.exists():
        table_ = pd.read_csv(file, dtype={"statistics": str})
        for name, rows in table_[table_.part == "test"].groupby("statistics", sort=False):
            logits = rows[[f"logit_{c}" for c in run.class_names]].to_numpy()
            found[name] = softmax(logits, axis=1), rows.label.to_numpy()
    return found


def by_reading(setting: Setting, bins: int = 15) -> pd.DataFrame:
    """Mean over the runs of each measure; a row a reading of BatchNorm's statistics and network.
    Runs without further readings are left out."""
    rows = {}
    for network in NETWORKS:
        for run in setting.runs.get(network, {}).values():
            found = readings(run)
            for name, (p, labels) in found.items() if len(found) > 1 else ():
                key = name, VARIANTS[network].title
                rows.setdefault(key, []).append(measures(p, labels, None, bins))
    return pd.DataFrame({key: pd.DataFrame(each).mean() for key, each in rows.items()}).T
