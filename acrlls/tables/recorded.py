"""Recorded runs by setting, and what they say: as trained, or after a *step*, a post-hoc method
fitted on the validation images of the same run; in a *mix* of classes, that of our images or the
published one, for which each image is weighted by the published share of its class."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from acrlls import calibration
from acrlls.config import Config
from acrlls.data import load_data
from acrlls.method import VARIANTS
from acrlls.paper import CLASSES, table
from acrlls.runs import Predictions, Run, records, training_weights

# the post-hoc step that the findings name: one scale and one shift a class, so it contains LLS
STEP = "vector"
NETWORKS = ("baseline", "single_dense", "proposed")
# a network, a step or "" for none, and where it is not the run's own one of `readings`
Side = tuple[str, str] | tuple[str, str, str]
AS_PUBLISHED = "as published"
UNWEIGHTED = "without class weights"
_TOLD = ("class_weights", "batchnorm", "input_range", "augment")  # by the title of a setting
LONGER = "epochs of Phase 2"
_PLAIN = {"phase2_learning_rate": "learning rate {:.5f}", "phase2_epochs": f"{{}} {LONGER}"}
# where seeds of Phase 1 alone are recorded as well, by profile
MORE_SEEDS = {"laptop": ["rivals-cross_entropy"]}


@dataclass(frozen=True)
class Setting:
    """Runs that differ in network and seed alone, by network and by the record's group, such as
    ``"laptop-seed-1"``: runs of one group share seed, code and machine, so a pair is of one group.
    """

    title: str
    runs: dict[str, dict[str, Run]]

    def of(self, network: str) -> list[Run]:
        """The runs of one network, a run a group; none where it was not recorded."""
        return list(self.runs.get(network, {}).values())

    def common(self, *sides: Side) -> list[str]:
        """The groups of runs in which every side can be had."""
        having = [
            {g for g, run in self.runs.get(n, {}).items() if {*reading} <= {*readings(run)}}
            for n, _, *reading in sides
        ]
        return sorted(set.intersection(*having))


def settings(runs: Iterable[Run]) -> list[Setting]:
    """Runs through both phases by setting: the published reading, then those with most runs."""
    found: dict[str, dict] = {}
    every = [run for run in runs if run.config.phase2_epochs]
    usual = _others(min(every, key=_changes)) if every else {}
    for run in every:
        changed = {n: v for n, v in _others(run).items() if v != usual[n]}
        title = _title(run.config, changed)
        group = found.setdefault(title, {})
        group.setdefault(run.config.variant, {})[run.folder.parent.name] = run
    count = {title: sum(map(len, groups.values())) for title, groups in found.items()}
    order = sorted(found, key=lambda t: (t != AS_PUBLISHED, -count[t], t))
    return [Setting(title, found[title]) for title in order]


def setting(title=AS_PUBLISHED, profile="laptop", config: Config | None = None) -> Setting:
    """One setting of a profile's records; without runs where it was not recorded, or where the
    images of ``config`` have other classes."""
    known = config is None or has_paper_classes(config)
    every = settings(records(profile).values()) if known else []
    return next((found for found in every if found.title == title), Setting(title, {}))


def like(config: Config, profile: str = "laptop") -> list[Run]:
    """The recorded runs of a config's network and setting, as in :func:`setting`."""
    return setting(_title(config), profile, config).of(config.variant)


def heads(profile: str = "laptop") -> list[Run]:
    """The recorded runs of a profile of Phase 1 alone, with augmentation: one of each network, with
    class weights and without, and seed; where a seed was recorded again, the later one."""
    names = [profile, *MORE_SEEDS.get(profile, [])]
    every = [run for name in names for run in records(name).values()]
    usual = _others(min(every, key=_changes)) | {"phase2_epochs": 0}
    same = [run for run in every if run.config.augment and _others(run) == usual]
    keys = [(run.config.variant, run.config.class_weights, run.config.seed) for run in same]
    return list(dict(zip(keys, same, strict=True)).values())


def first_phase(profile: str = "laptop", weighted: bool = True) -> Setting:
    """:func:`heads` with or without class weights as a setting, a group a seed."""
    runs: dict[str, dict] = {}
    for run in heads(profile):
        if run.config.class_weights == weighted:
            runs.setdefault(run.config.variant, {})[f"seed {run.config.seed}"] = run
    return Setting("with class weights" if weighted else UNWEIGHTED, runs)


def is_paper(class_names) -> bool:
    """Whether some images have the paper's classes, so that published numbers belong beside."""
    return set(class_names) == set(CLASSES)


def has_paper_classes(config: Config) -> bool:
    """Whether the images of a config have the paper's classes."""
    return is_paper(load_data(config).class_names)


def shown(run: Run, real: list[Run]) -> Run:
    """What figures show: :func:`middle` of some recorded runs where this build has phantoms, else
    the run of this build."""
    return middle(real) if real and run.config.data == "phantom" else run


def middle(runs: list[Run]) -> Run:
    """The run with the median mean class-wise ECE, in 15 bins; of two in the middle the lower."""

    def error(run: Run) -> float:
        test = run.predictions("test")
        return calibration.ece(test.probabilities, test.labels, of="mean")

    return sorted(runs, key=error)[(len(runs) - 1) // 2]


def _changes(run: Run) -> int:
    """How much the name of a run's record says: least of the profile as it stands."""
    return len(run.folder.parent.name)


def _others(run: Run) -> dict:
    """The settings of a training that :func:`_title` does not tell, without network and seed."""
    told = ("variant", "seed", "batchnorm_statistics", *_TOLD)
    return {n: v for n, v in run.config.training_settings().items() if n not in told}


def _title(config: Config, others: dict | None = None) -> str:
    """What differs from the published setting, ``others`` included, by name and value."""
    changes = {
        UNWEIGHTED: not config.class_weights,
        "BatchNorm frozen": config.batchnorm == "frozen",
        "input −1 to 1": config.input_range == "-1..1",
        "without augmentation": not config.augment,
    }
    named = [name for name, changed in changes.items() if changed]
    named += [_PLAIN.get(n, n + " {}").format(v) for n, v in (others or {}).items()]
    return ", ".join(named) or AS_PUBLISHED


def probabilities(run: Run, step: str = "", mix: str = "own", reading: str = "") -> np.ndarray:
    """Test probabilities ``(n, classes)`` of a run by one of its :func:`readings`, as trained or
    after a step: a name in ``calibration.METHODS``, fitted on validation images weighted to a mix.
    """
    test = _read(run, "test", reading)
    if not step:
        return test.probabilities
    return _fitted(run, step, mix, reading).predict_proba(test)


@functools.lru_cache(maxsize=1024)
def _fitted(run: Run, step: str, mix: str, reading: str):
    """The step, fitted on validation images weighted to a mix; once for all who ask."""
    weights = mix_weights(run, mix, "validation")
    method = calibration.METHODS[step].make(training_weights(run))
    return method.fit(_read(run, "validation", reading), sample_weight=weights)


def readings(run: Run) -> list[str]:
    """The statistics of BatchNorm at prediction that were measured on one training, own first."""
    return [str(each) for each in run.config.batchnorm_statistics]


def _read(run: Run, part: str, reading: str) -> Predictions:
    own = run.predictions(part)
    if not reading or reading == readings(run)[0]:
        return own
    every = pd.read_csv(run.folder / "statistics_predictions.csv.gz", dtype={"statistics": str})
    rows = every[(every.part == part) & (every.statistics == reading)]
    return replace(own, logits=rows[[f"logit_{c}" for c in run.class_names]].to_numpy())


def mix_weights(run: Run, mix: str, part: str = "test") -> np.ndarray:
    """A weight for each image of a part ``(n,)``: one in the mix ``"own"``, in ``"paper"`` such
    that the classes, which must be the paper's, have their published shares."""
    labels = run.predictions(part).labels
    if mix == "own":
        return np.ones(len(labels))
    published = table("III").loc[list(run.class_names), "Support"].to_numpy(float)
    return (published / published.sum() * len(labels) / np.bincount(labels))[labels]


def step_title(step: str) -> str:
    """Such as "after vector scaling", or "as trained"."""
    return f"after {calibration.METHODS[step].title}" if step else "as trained"


def name_of(side: Side) -> str:
    """Such as "Baseline after vector scaling", or "Proposed"."""
    network, step = side[:2]
    return VARIANTS[network].title + (f" {step_title(step)}" if step else "")
