"""The report on a reader's own images: what was read, how good, how well calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown

from acrlls import VARIANTS, configure, run_all
from acrlls.config import Config
from acrlls.data import Dataset, load_data, split_of, write_folder
from acrlls.store import store
from acrlls.tables.compare import compare
from acrlls.tables.recorded import STEP, Setting, probabilities, step_title
from acrlls.tables.reliability import scores as all_scores
from acrlls.tables.words import number

EXAMPLE = 600  # phantoms that stand for a reader's files
FOLDERS = {"Normal": "Healthy", "COVID": "Ill", "Lung Opacity": "Ill", "Viral Pneumonia": "Ill"}
SHOWN = ["accuracy", "NLL", "ECE", "floor, 95 %", "low", "high"]
COMPARED = ("baseline", "proposed")


def with_files(config: Config) -> Config:
    """The config with a folder of files: its own, or phantoms written as files."""
    if config.data != "phantom":
        return config
    small = configure(config.profile, data="phantom", phantom_images=EXAMPLE)
    return config.replace(
        data=str(write_folder(load_data(small), store() / "files", EXAMPLE, FOLDERS))
    )


def named(config: Config) -> str:
    """The name of the folder of images."""
    return f"“{Path(config.data).name}”"


def trained(config: Config) -> Setting:
    """Baseline and Proposed, trained or taken from the store."""
    runs = run_all(config.replace(variant=v) for v in COMPARED)
    pairs = zip(COMPARED, runs, strict=True)
    return Setting(named(config), {v: {"here": run} for v, run in pairs})


def counts(dataset: Dataset, config: Config) -> pd.DataFrame:
    """Images of each class in each part."""
    split, names = split_of(dataset, config), dataset.class_names
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    columns = {p: np.bincount(dataset.labels[at], minlength=len(names)) for p, at in parts.items()}
    table = pd.DataFrame(columns, index=list(names))
    table.loc["All"] = table.sum()
    return table


def scores(setting: Setting, bins: int, resamples: int) -> pd.DataFrame:
    """Scores of both networks as trained and after prior correction, temperature and vector
    scaling; a row a network and step."""
    rows = {}
    for variant in COMPARED:
        (run,) = setting.of(variant)
        for step in ("", *(["prior"] if run.config.class_weights else []), "temperature", STEP):
            found = all_scores(
                probabilities(run, step), run.predictions("test").labels, bins, resamples
            )
            rows[VARIANTS[variant].title, step_title(step)] = {name: found[name] for name in SHOWN}
    return pd.DataFrame(rows).T


def finding(table: pd.DataFrame) -> Markdown:
    """Which row predicts best, and whether Proposed shows miscalibration, from :func:`scores`."""
    network, step = table.NLL.idxmin()
    ours = table.loc[("Proposed", "as trained")]
    shown = ours["floor, 95 %"] < ours.ECE
    verdict = "shows miscalibration" if shown else "shows no miscalibration"
    return Markdown(
        f"**Proposed as trained {verdict}**: its mean class-wise ECE is {number(ours.ECE, 4)}, and "
        f"perfect calibration would stay below {number(ours['floor, 95 %'], 4)} in 95 % of test "
        f"sets. The lowest NLL, {number(table.NLL.min())}, has {network} {step}. One seed."
    )


def gains(setting: Setting, bins: int, resamples: int) -> pd.DataFrame:
    """Proposed minus Baseline as trained, each measure with its interval or p-value."""
    sides = ("baseline", ""), ("proposed", "")
    return compare(setting, *sides, bins=bins, resamples=resamples).table
