"""The section *How fast*: what the feature bank saves at the paper's size."""

import json
from pathlib import Path

import pandas as pd

from acrlls.config import PROJECT, UserError
from acrlls.paper import show

RECORDS, SCALE = PROJECT / "results" / "bench", PROJECT / "results" / "scale"
TUNED = "plain, oneDNN"  # plain Keras with the kernels that the bank's side switches on
SIDES = {"plain": "plain Keras", TUNED: "plain Keras, oneDNN", "bank": "feature bank"}
# The paper's job (Sections II-D and III): training images, and of each part runs and epochs.
TRAIN, GRID_EPOCHS, WHOLE = 14_814, 10, "whole job"
JOB = {"grid": (16, GRID_EPOCHS), "Phase 1": (3, 30), "Phase 2": (3, 50)}


def load(name: str) -> tuple[dict, pd.DataFrame]:
    """What ``bench.json`` of a recorded benchmark, a folder or a name in ``results/bench``, says,
    and its epochs.  Raises ``UserError`` for a name that is not there."""
    folder = RECORDS / Path(str(name)).expanduser()
    if not (folder / "bench.json").is_file():
        known = ", ".join(sorted(path.name for path in RECORDS.iterdir()))
        raise UserError(f"recorded is {name!r}; the recorded benchmarks are: {known}")
    result = json.loads((folder / "bench.json").read_text())
    return result, pd.read_csv(folder / "epochs.csv")


def hours(result: dict, epochs: pd.DataFrame) -> pd.DataFrame:
    """Hours of the paper's job, BatchNorm updating as published, by part (rows) and side, projected
    from the epochs after the first. Views are filled by the run that comes first, so the filling is
    what its epochs take more than the others'. Grid points and variants share a fresh view every
    epoch, and the grid's views are the first ones of Phase 1 too, so that the whole job fills them
    once."""
    steady = epochs[(epochs.epoch > 1) & (epochs.part != "grid")]
    first = (steady.side == "bank") & (steady.run == 0)
    each = (steady.seconds / steady.train).groupby([first, steady.part, steady.side]).median()
    rate, fill = each[False].unstack(), each[True].unstack().bank
    fill = (fill - rate.bank).clip(lower=0)
    rate.loc["phase 1", "bank"] = result["machine"]["head_seconds"]
    rows = {}
    for part, (runs, number) in JOB.items():
        second = part == "Phase 2"
        row = runs * rate.loc["phase 2 update" if second else "phase 1"]
        row["bank"] += fill["phase 2 frozen" if second else "phase 1"]
        rows[part] = row * number * TRAIN / 3600
    table = pd.DataFrame(rows).T
    table.loc[WHOLE] = table.sum()
    table.loc[WHOLE, "bank"] -= fill["phase 1"] * GRID_EPOCHS * TRAIN / 3600
    return table[list(SIDES)]


def shown(table: pd.DataFrame):
    """:func:`hours` with how many times less the bank takes, as a Styler."""
    table = table.rename(columns=SIDES).rename_axis(columns=None)
    ratios = {side: table[side] / table[SIDES["bank"]] for side in (SIDES["plain"], SIDES[TUNED])}
    return show(pd.concat({"hours": table, "ratio to the bank": pd.DataFrame(ratios)}, axis=1), 1)


def setup(result: dict) -> str:
    """What was timed, on what machine."""
    c, machine = result["config"], result["machine"]
    images = "phantoms" if c["data"] == "phantom" else "real radiographs"
    return (
        f"{result['images']:,} {images} of {c['image_size']} px ({result['train']:,} to train on, "
        f"in batches of {c['batch_size']}), three variants of {c['phase1_epochs']} + "
        f"{c['phase2_epochs']} epochs, with a fresh view every epoch. The machine has "
        f"{machine['cores']} cores ({machine['cpu']}) and ran Keras {machine['versions']['keras']} "
        f"on {machine['backend']}; {machine['engine']} filled the feature bank."
    )


def finding(table: pd.DataFrame) -> str:
    """What the feature bank saves of :func:`hours`."""
    ratio, tuned = table.plain / table.bank, table[TUNED] / table.bank
    return (
        "**With the stored outputs of the frozen layers, the feature bank, the paper's whole job "
        f"takes {table.bank[WHOLE]:.1f} hours, "
        f"{tuned[WHOLE]:.1f} times as fast as plain Keras with the same TensorFlow kernels (Phase "
        f"2: {tuned['Phase 2']:.1f} times) and {ratio[WHOLE]:.1f} times as fast as plain Keras as "
        f"it comes.** As it comes plain Keras takes {table.plain[WHOLE]:.0f} hours. Projected from "
        "a smaller job on one machine, with a fresh view every epoch."
    )


def machines() -> pd.DataFrame:
    """How many times as fast the bank does the whole job as plain Keras, a row a record of real
    images: as it comes, and with the kernels that TensorFlow uses by itself only where the CPU has
    AVX-512 VNNI, by which an older record that does not name it tells."""
    rows = {}
    for folder in sorted(RECORDS.iterdir()):
        result, epochs = load(folder.name)
        if result["config"]["data"] != "phantom":
            machine = result["machine"]
            whole = hours(result, epochs).loc[WHOLE]
            has = machine.get("vnni", bool(whole.plain < 1.5 * whole[TUNED]))
            rows[folder.name] = {
                "processor": machine["cpu"],
                "AVX-512 VNNI": "yes" if has else "no",
            }
            rows[folder.name] |= {
                f"than {SIDES[n]}": whole[n] / whole.bank for n in ("plain", TUNED)
            }
    return pd.DataFrame(rows).T


# --- More images, seeds, grid points and workers --------------------------------------------------


def scaled(table: pd.DataFrame, result: dict, price: float) -> pd.DataFrame:
    """The paper's job through the bank with more images, seeds or grid points: days on the recorded
    machine, their price, and gigabytes of one view's stored features; from :func:`hours` and the
    price of an hour of one core.  Seeds share no views here, the dearest case; grid points share
    all of theirs."""
    bank = table.bank
    whole, seed = bank[WHOLE], bank["Phase 1"] + bank["Phase 2"]
    points, epochs = JOB["grid"]
    grid = points * epochs * TRAIN * result["machine"]["head_seconds"] / 3600
    view = TRAIN * pd.read_csv(SCALE / "features.csv").kB.sum() / 1e6
    rows = {"the paper's": (whole, view)}
    for times in (10, 1000):
        rows[f"{times:,} × the images"] = whole * times, view * times
        rows[f"{times:,} seeds"] = whole + (times - 1) * seed, view
        rows[f"{times:,} × the grid points"] = whole + (times - 1) * grid, view
    cost = result["machine"]["cores"] * price
    rows = {what: (time / 24, time * cost, size) for what, (time, size) in rows.items()}
    return pd.DataFrame(rows, ["days", "price", "GB a view"]).T
