"""Section 3: settings of Fig. 1, augmentation and training, accuracy of both phases."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from acrlls.config import Config
from acrlls.paper import NUMBERS
from acrlls.runs import Run
from acrlls.tables import beside
from acrlls.tables.recorded import is_paper
from acrlls.tables.words import number, plural, signed


def settings(model, config: Config, real: Sequence[Run]):
    """Settings of head, augmentation and training: published, of the runs on the real images, and
    of this build, whose ``model`` has their head."""
    head = {layer.name: layer.get_config() for layer in model.layers}
    ours = ({beside.REAL: real[0].config} if real else {}) | {beside.here(config): config}
    rows = {}
    for key, n in NUMBERS.items():
        part, _, name = key.partition(".")
        if part in ("augmentation", "head", "phase1", "phase2"):
            layer = head.get("logits" if name == "classes" else name, {})
            of_config = name if hasattr(config, name) else f"{part}_{name}"
            same = layer.get("units", layer.get("rate"))  # in every build
            found = {
                t: getattr(c, of_config, np.nan) if same is None else same for t, c in ours.items()
            }
            rows[n.what.removesuffix(" (printed as a word)")] = {"published": n.value, **found}
    every = pd.DataFrame(rows).T
    return every.style.format("{:g}", na_rep="–").set_caption("Settings, published and ours")


def accuracies(real: Sequence[Run], run: Run, resamples: int) -> pd.DataFrame:
    """Test accuracy of both phases and their paired difference, in the columns of
    :mod:`acrlls.tables.beside`."""
    names = {"Phase 1": "phase1", "Phase 2": "proposed", "gain": "phase_gain"}
    published, rows = [NUMBERS[f"accuracy.{key}"].value for key in names.values()], list(names)
    least = 0, 0, -1
    return beside.columns(beside.phases, rows, published, real, run, (1, None), resamples, least)


def finding(runs: Sequence[Run], resamples: int, where: str) -> str:
    """Whether Phase 2 gains accuracy, over some runs."""
    found = beside.estimate(beside.phases, runs, (1, None), resamples)
    (one, two, gain), (*_, low), (*_, high) = found
    verdict = "does not clearly raise" if low <= 0 <= high else "raises" if low > 0 else "lowers"
    mix = ", weighted to the paper's class mix" if is_paper(runs[0].class_names) else ""
    return (
        f"**{beside.on(where)}, Phase 2 {verdict} the test accuracy**: from {number(one)} to "
        f"{number(two)}, a difference of {signed(gain, low, high)}, 95 % interval over "
        f"{plural(len(runs), 'run')} and the test images{mix}."
    )
