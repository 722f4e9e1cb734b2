"""The report on a reader's own images: what was read, how good, how well calibrated."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from acrlls import VARIANTS, configure, run_all
from acrlls.config import Config
from acrlls.data import load_data, write_folder
from acrlls.store import store
from acrlls.tables import reliability
from acrlls.tables.recorded import STEP, Setting, probabilities, step_title
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
    folder = write_folder(load_data(small), store() / "files", EXAMPLE, FOLDERS)
    return config.replace(data=str(folder))


def trained(config: Config) -> Setting:
    """Baseline and Proposed, trained or taken from the store."""
    runs = run_all(config.replace(variant=v) for v in COMPARED)
    by_variant = {run.config.variant: {"here": run} for run in runs}
    return Setting(Path(config.data).name, by_variant)


def scores(setting: Setting, bins: int, resamples: int) -> pd.DataFrame:
    """Scores of both networks as trained and after prior correction, temperature and vector
    scaling; a row a network and step."""
    ways = {}
    for variant in COMPARED:
        (run,) = setting.of(variant)
        prior = ["prior"] if run.config.class_weights else []
        for step in ("", *prior, "temperature", STEP):
            ways[VARIANTS[variant].title, step_title(step)] = probabilities(run, step)
    labels = run.predictions("test").labels
    return reliability.scores(ways, labels, bins, resamples)[SHOWN]


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
