"""The paper's whole job, scaled down, side by side: in plain Keras and through the feature bank.

The plain side is what a good Keras user writes: ``fit`` on a ``PyDataset`` that decodes and
augments. Both sides take the same images, seeds, views, order and BatchNormalization setting;
validation, prediction and the filling of the bank count. Every part of each side runs in a process
of its own (``python results/bench.py FOLDER NAME``): the plain side has TensorFlow as it is
installed, the bank's side switches its faster kernels on (:mod:`acrlls.backend`). What plain Keras
gains by the same switch is measured on one variant.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls.backend import environment_as_found, import_keras
from acrlls.config import Config, UserError
from acrlls.data import Dataset, batch, class_weights, load_data, split_of
from acrlls.store import digest, write_text
from acrlls.tables.speed import SIDES, TUNED

VARIANTS = ("baseline", "single_dense", "proposed")
PARTS = ("phase 1", "phase 2 frozen", "phase 2 update")


def runs_of(config: Config, part: str) -> list[Config]:
    """The runs of one of :data:`PARTS`."""
    change = {"phase2_epochs": 0} if part == "phase 1" else {"batchnorm": part.split()[-1]}
    return [config.replace(variant=each, patience=None, **change) for each in VARIANTS]


def sample(config: Config, images: int) -> Dataset:
    """The first stratified draw of so many images; all of them where there are no more."""
    whole = load_data(config)
    return whole if images >= len(whole) else _Sample(whole, images)


class _Sample(Dataset):
    """Some images of a dataset, stratified, always the same ones."""

    def __init__(self, whole: Dataset, n: int):
        from sklearn.model_selection import train_test_split

        rows = np.arange(len(whole))
        rows, _ = train_test_split(rows, train_size=n, stratify=whole.labels, random_state=0)
        self.whole, self.rows = whole, np.sort(rows)
        fingerprint = digest(whole.fingerprint, self.rows.tobytes())
        names, labels = whole.names[self.rows], whole.labels[self.rows]
        super().__init__(whole.class_names, names, labels, fingerprint)

    def image(self, i):
        return self.whole.image(self.rows[i])


def bench(config: Config, images: int, output: Path, say=print) -> None:
    """Time every part on both sides and record ``bench.json`` and ``epochs.csv`` in ``output``.
    Raises ``UserError`` with the last words of a part that failed."""
    if min(config.phase1_epochs, config.phase2_epochs) < 2:
        raise UserError(
            "the first epoch of a phase compiles and does not count; it takes 2 or more"
        )
    if config.loss != "cross_entropy":
        raise UserError(f"plain Keras is timed with cross-entropy alone, not with {config.loss}")
    dataset = sample(config, images)  # a folder is checked at first
    images, train = len(dataset), len(split_of(dataset, config).train)  # there may be fewer
    say(f"{images} images, {train} to train on", flush=True)
    names, found = ["machine", *(f"{side} {part}" for side in SIDES for part in PARTS)], {}
    with tempfile.TemporaryDirectory(prefix="acrlls-bench-") as folder:
        note = json.dumps({"config": config.as_dict(), "images": images})
        (Path(folder) / "task.json").write_text(note)
        for name in names:
            start = time.perf_counter()
            found[name] = _in_a_process(Path(folder), name)
            say(f"{name:<28} {time.perf_counter() - start:6.0f} s", flush=True)
    rows = [
        {"side": side, "part": part, "run": k, "train": train, **row}
        for side in SIDES
        for part in PARTS
        for k, run in enumerate(found[f"{side} {part}"])
        for row in run  # the bank's Phase 2 went through Phase 1 too
        if row["phase"] == 1 + part.startswith("phase 2")
    ]
    epochs = pd.DataFrame(rows)
    loss = epochs.set_index(["side", "part", "run", "epoch"]).val_loss
    apart = (loss["bank"] / loss["plain"] - 1).abs().groupby("part").max()
    settings = config.as_dict()
    for name in ("data", "backbone", "profile"):  # names, not paths
        settings[name] = Path(str(settings[name])).name
    result = {"config": settings, "images": images, "train": train, "machine": found["machine"]}
    result["agreement"] = {"phase 1": apart["phase 1"]}
    columns = ["side", "part", "run", "train", "epoch", "seconds"]
    table = epochs[columns].to_csv(index=False, float_format="%.7g", lineterminator="\n")
    write_text(output / "epochs.csv", table)
    write_text(output / "bench.json", json.dumps(result, indent=1) + "\n")


def _in_a_process(folder: Path, name: str):
    command = [sys.executable, __file__, str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment_as_found())
    if (status := done.returncode) != 0:
        raise UserError(f"the part {name!r} failed with status {status}:\n{done.stderr[-2000:]}")
    return json.loads((folder / f"{name}.json").read_text())


def main(folder: Path, name: str) -> None:
    """What such a process does: one part of one side, or what ``machine`` says."""
    side = next((side for side in SIDES if name.startswith(f"{side} ")), None)
    if side == "plain":
        import keras  # noqa: F401  # as a user has it
    else:
        import_keras()
    task = json.loads((folder / "task.json").read_text())
    config = Config(**task["config"])
    if side:
        part, dataset = name[len(side) + 1 :], sample(config, task["images"])
        done = histories(config, dataset, side, part, folder)
    else:
        done = machine(config)
    (folder / f"{name}.json").write_text(json.dumps(done))


def histories(config: Config, dataset: Dataset, side: str, part: str, folder: Path) -> list:
    """The epochs of each run of a part on one side."""
    from acrlls.training import train

    found = []
    os.environ["ACRLLS_STORE"] = str(folder / f"store {part}")  # filling it is a part of the time
    for k, each in enumerate(runs_of(config, part)[: 1 if side == TUNED else None]):
        run = folder / f"{side} {part} {k}"
        if side == "bank":
            train(each, dataset, run)
            found.append(pd.read_csv(run / "history.csv").to_dict("records"))
        else:
            found.append(plain(each, dataset, part, run))
    return found


def plain(config: Config, dataset: Dataset, part: str, run: Path) -> list[dict]:
    """The epochs of one phase with ``fit``; Phase 2 goes on from the weights that Phase 1 kept."""
    import keras

    from acrlls.method import build_model, unfreeze_top
    from acrlls.training import jit_compile, phases, seed_dropout

    model, number = build_model(config, len(dataset.class_names)), 1 + part.startswith("phase 2")
    kept = Path(str(run).replace(part, "phase 1") + ".weights.h5")
    if number == 2:
        model.load_weights(kept)
    unfreeze_top(model, config.unfrozen_layers if number == 2 else 0, config.batchnorm)
    plan, split = phases(config)[number - 1], split_of(dataset, config)
    logits = keras.Model(model.input, model.layers[-2].output)
    _compile(logits, plan.learning_rate, jit_compile=jit_compile())
    weights = class_weights(dataset.labels[split.train], len(dataset.class_names))
    weights = dict(enumerate(weights.tolist())) if config.class_weights else None
    train, *others = (
        _images(config, dataset, rows) for rows in (split.train, split.validation, split.test)
    )
    history, best, least = [], None, np.inf
    for epoch, train.view in enumerate(plan.views):
        start = time.perf_counter()
        rng = np.random.default_rng((config.seed, number, epoch))  # as the bank's side does
        seed_dropout(model, rng)
        train.order = rng.permutation(len(split.train))
        how = {"validation_data": others[0], "class_weight": weights, "shuffle": False}
        row = {k: v[-1] for k, v in logits.fit(train, verbose=0, **how).history.items()}
        seconds = time.perf_counter() - start
        history.append({"phase": number, "epoch": epoch + 1, "seconds": seconds, **row})
        if best is None or row["val_loss"] < least:  # NaN is never the least
            best, least = model.get_weights(), np.nan_to_num(row["val_loss"], nan=np.inf)
    model.set_weights(best)
    for images in others:  # the bank's side predicts these too
        logits.predict(images, verbose=0)
    if part == "phase 1":
        model.save_weights(kept)
    return history


def _compile(logits, learning_rate: float, **how) -> None:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"], **how)


def _images(config: Config, dataset: Dataset, rows):
    """A ``PyDataset`` of images: ``view`` and ``order`` are set before each epoch."""
    import keras

    class Images(keras.utils.PyDataset):
        view, order = None, np.arange(len(rows))

        def __len__(self):
            return -(-len(self.order) // config.batch_size)

        def __getitem__(self, k):
            chosen = rows[self.order[k * config.batch_size : (k + 1) * config.batch_size]]
            return batch(dataset, chosen, config, self.view), dataset.labels[chosen]

    return Images(workers=1)  # two and four were slower on two cores


def machine(config: Config, n: int = 10_000) -> dict:
    """Processor, versions, and seconds for a training image and epoch of the head on stored
    features: on random vectors, as among few images an epoch of the head is all overhead."""
    from acrlls.method import POOL, between, build_model, unfreeze_top
    from acrlls.runs import environment
    from acrlls.training import engine_version, jit_compile, steps_per_execution

    model = build_model(config.replace(variant="proposed"), 4)
    unfreeze_top(model, 0)
    head, rng = between(model, POOL, model.layers[-2].name), np.random.default_rng(0)
    x, y = rng.random((n, *head.input_shape[1:]), np.float32), rng.integers(0, 4, n)
    steps = steps_per_execution(n // config.batch_size)
    how = {"jit_compile": jit_compile(), "steps_per_execution": steps}
    _compile(head, config.phase1_learning_rate, **how)
    share = int(n * config.validation_fraction / config.train_fraction)
    seconds = []
    for _ in range(3):  # the first one compiles
        start = time.perf_counter()
        head.fit(x, y, batch_size=config.batch_size, verbose=0)
        head.evaluate(x[:share], y[:share], batch_size=config.batch_size, verbose=0)
        seconds.append(time.perf_counter() - start)
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = [line.split(":")[1].strip() for line in cpu.splitlines() if "model name" in line]
    return {
        "cpu": named[0] if named else platform.processor(),
        "vnni": "avx512_vnni" in cpu if cpu else None,
        "cores": os.cpu_count(),
        "engine": engine_version(),
        **environment(),
        "head_seconds": min(seconds[1:]) / n,
    }


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except UserError as error:
        sys.exit(str(error))
