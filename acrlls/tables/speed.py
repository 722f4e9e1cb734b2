"""Tables and sentences of the section *How fast*: what the feature bank saves."""

from __future__ import annotations

import pandas as pd

from acrlls.bench import TUNED, Job, load, project, rates
from acrlls.config import PROJECT, UserError
from acrlls.paper import show
from acrlls.runs import records
from acrlls.tables.compare import ECE, MEASURES, mean_of
from acrlls.tables.words import listed

RECORDS = PROJECT / "results" / "bench"
_HEADINGS = {"plain": "plain Keras", "bank": "feature bank", TUNED: "plain Keras, oneDNN"}
_BATCHNORM = {"frozen": "BatchNorm frozen", "update": "BatchNorm updating"}
_PARTS = {"grid": "grid", "phase 1": "Phase 1"}
_PARTS |= {f"phase 2 {bn}": f"Phase 2, {title}" for bn, title in _BATCHNORM.items()}


def record(name: str) -> tuple[dict, pd.DataFrame]:
    """A recorded benchmark of ``results/bench``: its settings and parts, and its epochs. A
    UserError names those that there are."""
    if not (RECORDS / name / "bench.json").is_file():
        known = listed(sorted(path.name for path in RECORDS.iterdir()))
        raise UserError(f"recorded is {name!r}; the recorded benchmarks are: {known}")
    return load(RECORDS / name)


def setup(result: dict) -> str:
    """What was timed, on what machine."""
    c, machine = result["config"], result["machine"]
    images = "phantoms" if c["data"] == "phantom" else "real radiographs"
    return (
        f"{result['images']:,} {images} of {c['image_size']} px ({result['train']:,} to train on), "
        f"{result['grid_points']} grid points of {c['grid_epochs']} epochs, and three variants of "
        f"{c['phase1_epochs']} + {c['phase2_epochs']} epochs, with a fresh view every epoch. The "
        f"machine has {machine['cores']} cores ({machine['cpu']}) and ran Keras "
        f"{machine['versions']['keras']} on {machine['backend']}; {machine['engine']} filled the "
        f"feature bank. Plain Keras trained {result['plain_points']} of the grid points, and its "
        "time is scaled up to all of them."
    )


def measured(result: dict):
    """Seconds, images a second and peak memory of each part on both sides, and the ratios."""
    parts = pd.DataFrame(result["parts"]).pivot(index="part", columns="side").loc[list(_PARTS)]
    shown = {"seconds": "seconds", "images_per_second": "images a second", "peak_gb": "peak, GB"}
    columns = {
        (heading, _HEADINGS[side]): parts[what, side]
        for what, heading in shown.items()
        for side in ("plain", "bank")
    }
    for heading, what in (("time", "seconds"), ("CPU time", "cpu_seconds")):
        columns["ratio", heading] = parts[what, "plain"] / parts[what, "bank"]
    table = pd.DataFrame(columns).rename(index=_PARTS).rename_axis(index=None)
    return show(table, {"seconds": 0, "images a second": 0, "peak, GB": 1, "ratio": 1})


def projections(result: dict, epochs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Seconds of the job at the paper's size, by what Phase 2 does with BatchNormalization."""
    rate = rates(epochs, result["machine"]["head_seconds"])
    return {bn: project(rate, Job(), bn) for bn in _BATCHNORM}


def projected(tables: dict[str, pd.DataFrame]):
    """Hours of the whole job at the paper's size, and how many times less the feature bank takes,
    from :func:`projections`."""
    rows = tables["frozen"].loc[["grid", "Phase 1"]].T
    for part in ("Phase 2", "whole job"):
        for bn, title in _BATCHNORM.items():
            rows[f"{part}, {title}"] = tables[bn].loc[part]
    rows, ratios = rows.T, {"plain": "ratio", TUNED: f"ratio, {TUNED}"}
    hours = {("hours", _HEADINGS[side]): rows[side] / 3600 for side in ("plain", TUNED, "bank")}
    hours |= {("ratio to the bank", _HEADINGS[s]): rows[name] for s, name in ratios.items()}
    return show(pd.DataFrame(hours), 1)


def agreement(result: dict) -> str:
    """How far the validation losses of the two sides differ where training does not drift."""
    grid, head = (f"{result['agreement'][part]:.1e}" for part in ("grid", "phase 1"))
    return (
        "In every epoch of both sides, the validation losses agree to a relative difference of "
        f"{grid} in the grid and {head} in Phase 1."
    ).replace("e-", "e−")


def views() -> pd.DataFrame:
    """Test scores of Phase 1 by how many views are recycled, on phantoms: mean and standard
    deviation over seeds, and ``seeds``, their number."""
    done = list(records("quick-views").values())
    scores = pd.DataFrame([mean_of([run]) for run in done], columns=list(MEASURES))
    groups = scores[["Accuracy", "NLL", ECE]].groupby([run.config.views for run in done])
    table = groups.agg(["mean", "std"]).rename(columns={"std": "sd"}, level=1)
    table["seeds", ""] = groups.size()
    return table.rename_axis("views")


def finding(table: pd.DataFrame, batchnorm: str) -> str:
    """What the feature bank saves at the paper's size, from one table of :func:`projections`:
    ``"frozen"`` or ``"update"``."""
    whole, ratio, tuned = table.loc["whole job"], table.ratio, table[f"ratio, {TUNED}"]
    return (
        "Through the feature bank, the whole job at the paper's size takes "
        f"{whole.bank / 3600:.1f} hours instead of {whole.plain / 3600:.0f}, {whole.ratio:.1f} "
        f"times less, with a fresh view every epoch (grid {ratio['grid']:.0f} times, Phase 1 "
        f"{ratio['Phase 1']:.1f} times, Phase 2 {ratio['Phase 2']:.1f} times, "
        f"{_BATCHNORM[batchnorm]}; one machine, projected from a smaller job). Against plain Keras "
        f"with the same TensorFlow kernels it takes {tuned['whole job']:.1f} times less (Phase 2 "
        f"{tuned['Phase 2']:.1f} times)."
    )
