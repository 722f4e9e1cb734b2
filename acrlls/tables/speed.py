"""The section *How fast*: what the feature bank saves at the paper's size."""

import itertools
import json

import pandas as pd

from acrlls.config import PROJECT, UserError
from acrlls.paper import show
from acrlls.runs import records

RECORDS, SCALE = PROJECT / "results" / "bench", PROJECT / "results" / "scale"
TUNED = "plain, oneDNN"  # plain Keras with the kernels that the bank's side switches on
SIDES = {"plain": "plain Keras", TUNED: "plain Keras, oneDNN", "bank": "feature bank"}
STATES = {"frozen": "BatchNorm frozen", "update": "BatchNorm updating"}
# The paper's job (Sections II-D and III): training images, and of each part runs and epochs.
TRAIN, GRID_EPOCHS = 14_814, 10
JOB = {
    "grid": (16, GRID_EPOCHS, "phase 1", "phase 1"),
    "Phase 1": (3, 30, "phase 1", "phase 1"),
    "Phase 2, BatchNorm frozen": (3, 50, "phase 2 frozen", "phase 2 frozen"),
    "Phase 2, BatchNorm updating": (3, 50, "phase 2 update", "phase 2 frozen"),
}  # and whose rates and whose filling of views they have


def load(name: str) -> tuple[dict, pd.DataFrame]:
    """What ``bench.json`` of a recorded benchmark, a folder or a name in ``results/bench``, says,
    and its epochs.  Raises ``UserError`` for a name that is not there."""
    if not (RECORDS / name / "bench.json").is_file():
        known = ", ".join(sorted(path.name for path in RECORDS.iterdir()))
        raise UserError(f"recorded is {name!r}; the recorded benchmarks are: {known}")
    result = json.loads((RECORDS / name / "bench.json").read_text())
    return result, pd.read_csv(RECORDS / name / "epochs.csv")


def hours(result: dict, epochs: pd.DataFrame) -> pd.DataFrame:
    """Hours of the paper's job by part (rows) and side, projected from the epochs after the first.

    Views are filled by the run that comes first, so the filling is what its epochs take more than
    the others'.  Grid points and variants share a fresh view every epoch, and the grid's views are
    the first ones of Phase 1 too, so that the whole job fills them once.
    """
    steady = epochs[(epochs.epoch > 1) & (epochs.part != "grid")]
    first = (steady.side == "bank") & (steady.run == 0)
    each = (steady.seconds / steady.train).groupby([first, steady.part, steady.side]).median()
    rate, fill = each[False].unstack(), each[True].unstack().bank
    fill = (fill - rate.bank).clip(lower=0)
    rate.loc["phase 1", "bank"] = result["machine"]["head_seconds"]
    rows = {}
    for name, (runs, number, part, filled) in JOB.items():
        row = runs * rate.loc[part]
        row["bank"] += fill[filled]
        rows[name] = row * number * TRAIN / 3600
    table = pd.DataFrame(rows).T
    for state in STATES.values():
        whole = table.loc[["grid", "Phase 1", f"Phase 2, {state}"]].sum()
        whole["bank"] -= fill["phase 1"] * GRID_EPOCHS * TRAIN / 3600
        table.loc[f"whole job, {state}"] = whole
    return table[list(SIDES)]


def shown(table: pd.DataFrame):
    """:func:`hours` with how many times less the bank takes, as a Styler."""
    columns = {("hours", SIDES[side]): table[side] for side in table}
    for side in table.columns.drop("bank"):
        columns["ratio to the bank", SIDES[side]] = table[side] / table.bank
    return show(pd.DataFrame(columns), 1)


def setup(result: dict) -> str:
    """What was timed, on what machine."""
    c, machine = result["config"], result["machine"]
    images = "phantoms" if c["data"] == "phantom" else "real radiographs"
    text = (
        f"{result['images']:,} {images} of {c['image_size']} px ({result['train']:,} to train on), "
        f"three variants of {c['phase1_epochs']} + {c['phase2_epochs']} epochs, with a fresh view "
        f"every epoch. The machine has {machine['cores']} cores ({machine['cpu']}) and ran Keras "
        f"{machine['versions']['keras']} on {machine['backend']}; {machine['engine']} filled the "
        "feature bank."
    )
    if (batches := -(-result["train"] // c["batch_size"])) < 20:
        text += (
            f" **With {batches} batches an epoch this record is a trial of the command, not a "
            "measurement**: the fixed cost of an epoch is projected as if it grew with the images."
        )
    return text


def finding(table: pd.DataFrame, batchnorm: str) -> str:
    """What the feature bank saves of :func:`hours`, with BatchNormalization ``"frozen"`` or
    ``"update"``."""
    state = STATES[batchnorm]
    whole, part = f"whole job, {state}", f"Phase 2, {state}"
    ratio, tuned = table.plain / table.bank, table[TUNED] / table.bank
    return (
        f"**With the feature bank the paper's whole job takes {table.bank[whole]:.1f} hours, "
        f"{tuned[whole]:.1f} times as fast as plain Keras with the same TensorFlow kernels (Phase "
        f"2: {tuned[part]:.1f} times) and {ratio[whole]:.1f} times as fast as plain Keras as it "
        f"comes.** As it comes plain Keras takes {table.plain[whole]:.0f} hours, "
        f"{ratio['grid']:.0f} times as long for the grid, {ratio['Phase 1']:.1f} times for Phase 1 "
        f"and {ratio[part]:.1f} for Phase 2. Projected from a smaller job on one machine, with a "
        f"fresh view every epoch and {state}."
    )


def machines() -> pd.DataFrame:
    """How many times as fast the bank does the whole job as plain Keras, a row a record of real
    images: as it comes, and with the kernels that TensorFlow uses by itself only where the CPU has
    AVX-512 VNNI."""
    rows = {}
    for folder in sorted(RECORDS.iterdir()):
        result, epochs = load(folder.name)
        if result["config"]["data"] == "phantom":
            continue
        found = {True: "yes", False: "no"}.get(result["machine"].get("vnni"), "not noted")
        row, table = {"AVX-512 VNNI": found}, hours(result, epochs)
        for side, state in itertools.product(table.columns.drop("bank"), STATES.values()):
            whole = table.loc[f"whole job, {state}"]
            row[f"than {SIDES[side]}, {state}"] = whole[side] / whole.bank
        rows[folder.name] = row
    return pd.DataFrame(rows).T


# --- More images, seeds, grid points and workers --------------------------------------------------


def on_a_gpu() -> str:
    """What an epoch of Phase 2 on the real images took on a GPU, beside the recorded runs."""
    table = pd.read_csv(SCALE / "gpu.csv")
    at_once, device, backend = table[["runs at once", "device", "backend"]].iloc[0]
    cores = min(
        run.history.query("phase == 2").seconds.min()
        for run in records().values()
        if len(run.config.batchnorm_statistics) > 1
    )
    each = table.seconds.median() / at_once
    return (
        f"On an {device} through {backend}, in float32, an epoch of Phase 2 took "
        f"{table.seconds.median():.1f} seconds with {at_once} runs at once, or {each:.1f} seconds "
        f"a run; the fastest epoch of the recorded runs, on two CPU cores, took {cores:.0f} "
        f"seconds, {cores / each:.0f} times as long. These runs were stopped after "
        f"{table.epoch.max()} epochs of Phase 2, so that they are no evidence of calibration."
    )


def scaled(table: pd.DataFrame, result: dict, price: float) -> pd.DataFrame:
    """The paper's job through the bank with more images, seeds or grid points, BatchNorm updating:
    days on the recorded machine, their price, and gigabytes of one view's stored features; from
    :func:`hours` and the price of an hour of one core.  Seeds share no views here, the dearest
    case; grid points share all of theirs."""
    bank = table.bank
    whole, seed = bank["whole job, BatchNorm updating"], bank["Phase 1"]
    seed += bank["Phase 2, BatchNorm updating"]
    points, epochs, *_ = JOB["grid"]
    grid = points * epochs * TRAIN * result["machine"]["head_seconds"] / 3600
    view = TRAIN * pd.read_csv(SCALE / "features.csv").kB.sum() / 1e6
    rows = {"the paper's": (whole, view)}
    for times in (10, 1000):
        rows[f"{times:,} × the images"] = whole * times, view * times
        rows[f"{times:,} seeds"] = whole + (times - 1) * seed, view
        rows[f"{times:,} × the grid points"] = whole + (times - 1) * grid, view
    found = pd.DataFrame(rows, index=["days", "GB a view"]).T
    found["days"] /= 24
    cost = found["days"] * 24 * result["machine"]["cores"] * price
    return found.assign(price=cost)[["days", "price", "GB a view"]]
