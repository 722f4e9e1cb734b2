"""The report on a reader's own images: what was read, how good, how well calibrated."""

from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from acrlls import VARIANTS, configure, run_all
from acrlls.config import Config
from acrlls.data import load_data, write_folder
from acrlls.store import store
from acrlls.tables import reliability
from acrlls.tables.recorded import STEP, Setting, probabilities, step_title
from acrlls.tables.words import error, number, plural

EXAMPLE = 641  # phantoms that stand for a reader's files; 448 to train on fill seven batches
FOLDERS = {"Normal": "Healthy", "COVID": "Ill", "Lung Opacity": "Ill", "Viral Pneumonia": "Ill"}
FEW = 5  # bins for the few test images of the phantoms
SHOWN = ["accuracy", "NLL", "ECE", "floor, 95 %", "low", "high"]
COMPARED = ("baseline", "proposed")


def with_files(config: Config) -> Config:
    """The config with a folder of files: its own, or phantoms written as files, with few bins."""
    if config.data != "phantom":
        return config
    drawn = load_data(configure(config.profile, data="phantom", phantom_images=EXAMPLE))
    folder = store() / "phantom" / f"{drawn.fingerprint}.files" / "demonstration"
    write_folder(drawn, folder, EXAMPLE, FOLDERS)
    return config.replace(data=str(folder), bins=min(config.bins, FEW))


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


def finding(table: pd.DataFrame, images: int, demonstration: bool) -> Markdown:
    """Which row predicts best, and whether Proposed shows miscalibration, from :func:`scores` of so
    many test images."""
    network, step = table.NLL.idxmin()
    ours = table.loc[("Proposed", "as trained")]
    above = ours["floor, 95 %"] < ours.ECE
    shown = "shows miscalibration" if above else "is not shown to be miscalibrated"
    folder = "the demonstration folder of phantoms" if demonstration else "your folder"
    return Markdown(
        f"**On {folder} ({plural(images, 'test image')}) Proposed as trained {shown}**: its mean "
        f"class-wise ECE is {error(ours.ECE)}, and perfect calibration would stay below "
        f"{error(ours['floor, 95 %'])} in 95 % of test sets. The 95 % interval of its true error "
        f"is {error(ours.low)} to {error(ours.high)}. {network} {step} has the lowest NLL, "
        f"{number(table.NLL.min())}, with one seed; no test compares it with the next."
    )
