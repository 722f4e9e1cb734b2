"""Tables and sentences of the section *How fast*: what the feature bank saves."""

from __future__ import annotations

import pandas as pd

from acrlls.bench import TUNED, Job, load, project, rates
from acrlls.calibration import accuracy, classwise_ece, nll
from acrlls.config import PROJECT, UserError
from acrlls.paper import show
from acrlls.runs import records
from acrlls.tables.words import number, plural

RECORDS = PROJECT / "results" / "bench"
_HEADINGS = {"plain": "plain Keras", "bank": "feature bank", TUNED: "plain Keras, oneDNN"}
_PARTS = {
    "phase 1": "Phase 1",
    "phase 2 frozen": "Phase 2, BatchNorm frozen",
    "phase 2 update": "Phase 2, BatchNorm updating",
}
_FEW_BATCHES = 20


def record(name: str) -> tuple[dict, pd.DataFrame]:
    """A recorded benchmark of ``results/bench``: its settings and parts, and its epochs.

    Raises:
        UserError: there is no record of that name.
    """
    if not (RECORDS / name / "bench.json").is_file():
        known = ", ".join(sorted(path.name for path in RECORDS.iterdir()))
        raise UserError(f"recorded is {name!r}; the recorded benchmarks are: {known}")
    return load(RECORDS / name)


def setup(result: dict) -> str:
    """What was timed, on what machine."""
    c, machine = result["config"], result["machine"]
    images = "phantoms" if c["data"] == "phantom" else "real radiographs"
    text = (
        f"{result['images']:,} {images} of {c['image_size']} px ({result['train']:,} to train on), "
        f"{result['grid_points']} grid points of {c['grid_epochs']} epochs, and three variants of "
        f"{c['phase1_epochs']} + {c['phase2_epochs']} epochs, with a fresh view every epoch. The "
        f"machine has {machine['cores']} cores ({machine['cpu']}) and ran Keras "
        f"{machine['versions']['keras']} on {machine['backend']}; {machine['engine']} filled the "
        f"feature bank. Plain Keras trained {result['plain_points']} of the grid points, and its "
        "time is scaled up to all of them."
    )
    batches = -(-result["train"] // c["batch_size"])
    if batches < _FEW_BATCHES:
        text += (
            f" **With {batches} batches an epoch this record is a trial of the command, not a "
            "measurement**: the fixed cost of an epoch is projected as if it grew with the images."
        )
    return text


def measured(result: dict):
    """Seconds, images a second and peak memory of each part on both sides, and the ratios."""
    parts = pd.DataFrame(result["parts"]).pivot(index="part", columns="side")
    parts = parts.loc[["grid", *_PARTS]].rename(index=_PARTS)
    shown = {"seconds": "seconds", "images_per_second": "images a second", "peak_gb": "peak, GB"}
    table = parts[list(shown)].rename(columns=shown, level=0).rename(columns=_HEADINGS, level=1)
    table = table.reindex(columns=[_HEADINGS["plain"], _HEADINGS["bank"]], level=1)
    for heading, what in (("time", "seconds"), ("CPU time", "cpu_seconds")):
        table["ratio", heading] = parts[what, "plain"] / parts[what, "bank"]
    decimals = {"seconds": 0, "images a second": 0, "peak, GB": 1, "ratio": 1}
    return show(table.rename_axis(index=None, columns=[None, None]), decimals)


def projections(result: dict, epochs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Seconds of the job at the paper's size, by what Phase 2 does with BatchNormalization."""
    rate = rates(epochs, result["machine"]["head_seconds"])
    return {bn: project(rate, Job(), bn) for bn in ("frozen", "update")}


def projected(tables: dict[str, pd.DataFrame]):
    """Hours of the whole job at the paper's size, and how many times less the feature bank takes.

    Args:
        tables: from :func:`projections`.
    """
    names = {"frozen": "BatchNorm frozen", "update": "BatchNorm updating"}
    frozen, update = (
        tables[bn].rename(index={part: f"{part}, {name}" for part in ("Phase 2", "whole job")})
        for bn, name in names.items()
    )
    table = pd.concat([frozen, update.iloc[2:]]).iloc[[0, 1, 2, 4, 3, 5]]
    hours = {("hours", _HEADINGS[side]): table[side] / 3600 for side in ("plain", TUNED, "bank")}
    ratios = {"plain": "ratio", TUNED: f"ratio, {TUNED}"}
    hours |= {("ratio to the bank", _HEADINGS[s]): table[name] for s, name in ratios.items()}
    return show(pd.DataFrame(hours), 1)


def agreement(result: dict) -> str:
    """How far the validation losses of the two sides differ where training does not drift."""
    grid, head = (f"{result['agreement'][part]:.1e}" for part in ("grid", "phase 1"))
    return (
        "In every epoch of both sides, the validation losses agree to a relative difference of "
        f"{grid} in the grid and {head} in Phase 1."
    ).replace("e-", "e−")


def views() -> pd.DataFrame:
    """Test scores of Phase 1 by how many views are recycled, on phantoms.

    Returns:
        A row for each number of views; columns (score, ``mean`` or ``sd`` over seeds), and
        (``seeds``, ``""``), their number.
    """
    rows = []
    for done in records("quick-views").values():
        test = done.predictions("test")
        p, y = test.probabilities, test.labels
        rows.append((done.config.views, accuracy(p, y), nll(p, y), classwise_ece(p, y).mean()))
    scores = ["accuracy", "NLL", "class-wise ECE"]
    groups = pd.DataFrame(rows, columns=["views", *scores]).groupby("views")
    table = groups.agg(["mean", "std"]).rename(columns={"std": "sd"}, level=1)
    table["seeds", ""] = groups.size()
    return table


def views_sentence(table: pd.DataFrame) -> str:
    """What recycling views costs in NLL, beside what the seed alone changes."""
    values, spread = table["NLL", "mean"], table["NLL", "sd"].max()
    change = values.iloc[-1] - values.iloc[0]
    few, many = values.index[[0, -1]]
    verdict = "Recycling views costs no more than the seed does"
    if abs(change) > spread:
        way = "lower" if change < 0 else "raise"
        verdict = f"Fresh views {way} the NLL by more than the seed moves it"
    return (
        f"{verdict}: from {plural(few, 'view')} to {many} the mean NLL changes by "
        f"{number(change, signed=True)}; its standard deviation over {table['seeds', ''].min()} "
        f"seeds is up to {spread:.3f}."
    )


def finding(table: pd.DataFrame, batchnorm: str) -> str:
    """What the feature bank saves at the paper's size.

    Args:
        table: one of :func:`projections`.
        batchnorm: which one, ``"frozen"`` or ``"update"``.
    """
    whole, ratio = table.loc["whole job"], table.ratio
    state = {"frozen": "frozen", "update": "updating"}[batchnorm]
    text = (
        "Through the feature bank, the whole job at the paper's size takes "
        f"{whole.bank / 3600:.1f} hours instead of {whole.plain / 3600:.0f}, {whole.ratio:.1f} "
        f"times less, with a fresh view every epoch (grid {ratio['grid']:.0f} times, Phase 1 "
        f"{ratio['Phase 1']:.1f} times, Phase 2 {ratio['Phase 2']:.1f} times with "
        f"BatchNormalization {state}; one machine, projected from a smaller job)."
    )
    if TUNED in table:
        tuned = table[f"ratio, {TUNED}"]
        text += (
            " Against plain Keras with the same TensorFlow kernels it takes "
            f"{tuned['whole job']:.1f} times less (Phase 2 {tuned['Phase 2']:.1f} times)."
        )
    return text
