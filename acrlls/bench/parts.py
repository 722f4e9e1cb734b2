"""The work of a benchmark's parts, each run in a process of its own: ``python -m acrlls.bench.parts FOLDER PART``.

``FOLDER/task.json`` says what to do (:class:`acrlls.bench.bench.Task`); ``FOLDER/PART.json`` takes the result.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from acrlls import data
from acrlls.bench.bench import PARTS, Task, sample
from acrlls.config import Config, UserError


def main(folder: Path, name: str) -> None:
    """Do one part and write its result, its peak memory included."""
    from acrlls.backend import import_keras

    work = WORK[name]
    if name.startswith("plain"):
        import keras  # noqa: F401  # as a user has it
    else:
        import_keras()
    note = json.loads((folder / "task.json").read_text())
    task = Task(**{**note, "config": Config(**note["config"])})
    result = work(task, folder)
    (folder / f"{name}.json").write_text(json.dumps({**result, "peak_bytes": _peak_bytes()}))


def _peak_bytes() -> float:
    """Largest resident memory of this process; NaN on Windows, where Python does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


# ---------------------------------------------------------------- through the bank


def _bank(part: str):
    def work(task: Task, folder: Path) -> dict:
        return _through_bank(task, task.of_part(part), folder / f"bank {part}")

    return work


def _seeds(task: Task, folder: Path) -> dict:
    configs = [
        task.config.replace(variant="proposed", batchnorm="frozen", patience=None, seed=s)
        for s in task.seeds
    ]
    return _through_bank(task, configs, folder / "bank seeds")


def _through_bank(task: Task, configs: list[Config], folder: Path) -> dict:
    from acrlls.training import train

    dataset = task.dataset()
    os.environ["ACRLLS_STORE"] = str(folder / "store")  # each part fills a bank of its own
    start, cpu = time.perf_counter(), time.process_time()
    folders = [folder / str(k) for k in range(len(configs))]
    for c, f in zip(configs, folders, strict=True):
        train(c, dataset, f)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    histories = [pd.read_csv(f / "history.csv").to_dict("records") for f in folders]
    logits = []
    for f, c in zip(folders, configs, strict=True):
        table = pd.read_csv(f / "predictions.csv.gz")
        last = table[(table.part == "test") & (table.phase == (2 if c.phase2_epochs else 1))]
        logits.append(last.filter(like="logit_").to_numpy().tolist())
    return {"seconds": seconds, "cpu_seconds": cpu, "histories": histories, "logits": logits}


# ---------------------------------------------------------------- in plain Keras


def _images(config: Config, dataset: data.Dataset, rows, workers: int):
    """A ``PyDataset`` of images: ``view`` and ``order`` are set before each epoch."""
    import keras

    class Images(keras.utils.PyDataset):
        view, order = None, np.arange(len(rows))

        def __len__(self):
            return -(-len(self.order) // config.batch_size)

        def __getitem__(self, k):
            chosen = rows[self.order[k * config.batch_size : (k + 1) * config.batch_size]]
            return data.batch(dataset, chosen, config, self.view), dataset.labels[chosen]

    return Images(workers=workers)


def _plain_phase(config: Config, dataset: data.Dataset, model, number: int, workers: int) -> dict:
    """One phase with ``fit``; the best epoch's weights stay in the model."""
    import keras

    from acrlls.method.model import freeze_backbone, unfreeze_top
    from acrlls.training import phases, seed_dropout
    from acrlls.training.engines import jit_compile

    plan, split = phases(config)[number - 1], data.split_of(dataset, config)
    if number == 1:
        freeze_backbone(model)
    else:
        unfreeze_top(model, config.unfrozen_layers, config.batchnorm)
    logits = keras.Model(model.input, model.layers[-2].output)
    logits.compile(
        keras.optimizers.Adam(plan.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    weights = data.class_weights(dataset.labels[split.train], len(dataset.class_names))
    class_weight = dict(enumerate(weights.tolist())) if config.class_weights else None
    train, validation, test = (
        _images(config, dataset, getattr(split, p), workers)
        for p in ("train", "validation", "test")
    )
    history, best = [], None
    for epoch in range(plan.epochs):
        start = time.perf_counter()
        rng = np.random.default_rng((config.seed, number, epoch))  # as training.py does
        seed_dropout(model, rng)
        train.order, train.view = rng.permutation(len(split.train)), plan.view(epoch, config)
        logits.fit(
            train, validation_data=validation, class_weight=class_weight, shuffle=False, verbose=0
        )
        row = {k: v[-1] for k, v in logits.history.history.items()}
        history.append(
            {"phase": number, "epoch": epoch + 1, "seconds": time.perf_counter() - start, **row}
        )
        if row["val_loss"] == min(h["val_loss"] for h in history):
            best = model.get_weights()
    model.set_weights(best)
    logits.predict(validation, verbose=0)  # the bank's side keeps these too
    return {"history": history, "logits": logits.predict(test, verbose=0).tolist()}


def _plain_run(task: Task, folder: Path, part: str, config: Config, dataset: data.Dataset):
    """The model and what :func:`_plain_phase` gives; Phase 2 goes on from the kept weights of Phase 1."""
    from acrlls.method.model import build_model

    number = 2 if part.startswith("phase 2") else 1
    model = build_model(config, len(dataset.class_names))
    if number == 2:
        model.load_weights(_kept(folder, config))
    workers = json.loads((folder / "plain workers.json").read_text())["best"]
    return model, _plain_phase(config, dataset, model, number, workers)


def _kept(folder: Path, config: Config) -> Path:
    return folder / f"plain {config.variant}.weights.h5"


def _plain(part: str):
    def work(task: Task, folder: Path) -> dict:
        configs, dataset = task.of_part(part), task.dataset()
        if part == "grid":
            configs = configs[: task.plain_points]
        done, seconds, cpu = [], 0.0, 0.0
        for config in configs:
            start, cpu_start = time.perf_counter(), time.process_time()
            model, found = _plain_run(task, folder, part, config, dataset)
            done.append(found)
            seconds, cpu = (
                seconds + time.perf_counter() - start,
                cpu + time.process_time() - cpu_start,
            )
            if part == "phase 1":
                model.save_weights(_kept(folder, config))
        if part.startswith("phase 2"):  # Algorithm 1 returns the better of the two bests
            first = json.loads((folder / "plain phase 1.json").read_text())
            for now, history, logits in zip(done, first["histories"], first["logits"], strict=True):
                if _best(history) <= _best(now["history"]):
                    now["logits"] = logits
        scale = len(task.grid()) / len(configs) if part == "grid" else 1.0
        return {
            "seconds": seconds * scale,
            "cpu_seconds": cpu * scale,
            "histories": [d["history"] for d in done],
            "logits": [d["logits"] for d in done],
        }

    return work


def _tuned(task: Task, folder: Path) -> dict:
    """Epochs of the first variant in plain Keras with TensorFlow's faster kernels, by part; the grid's are Phase 1's."""
    dataset = task.dataset()
    return {
        "histories": {
            part: _plain_run(task, folder, part, task.of_part(part)[0], dataset)[1]["history"]
            for part in PARTS
            if part != "grid"
        }
    }


def _noise(task: Task, folder: Path) -> dict:
    """Phase 2 of Proposed in plain Keras once more, from weights that are moved by one rounding."""
    from acrlls.method.model import build_model

    (config,) = task.variants(batchnorm="frozen")[-1:]
    dataset = task.dataset()
    model = build_model(config, len(dataset.class_names))
    model.load_weights(_kept(folder, config))
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            w * rng.choice(np.float32([1 - 2**-23, 1, 1 + 2**-23]), w.shape)
            for w in model.get_weights()
        ]
    )
    workers = json.loads((folder / "plain workers.json").read_text())["best"]
    return {"history": _plain_phase(config, dataset, model, 2, workers)["history"]}


def _best(history: list[dict]) -> float:
    return min(row["val_loss"] for row in history)


def _workers(task: Task, folder: Path) -> dict:
    """Images a second of Phase 1 by number of workers, on a few batches after a first epoch that compiles."""
    from acrlls.method.model import build_model

    dataset = task.dataset()
    small = sample(dataset, 300)
    config = task.config.replace(phase1_epochs=2, variant="baseline")
    train = len(data.split_of(small, config).train)
    speed = {}
    for workers in task.workers:
        done = _plain_phase(config, small, build_model(config, len(small.class_names)), 1, workers)
        speed[workers] = train / done["history"][-1]["seconds"]
    return {"images_per_second": speed, "best": max(speed, key=speed.get)}


# ---------------------------------------------------------------- what both must agree in, and the yardsticks


def _exactness(task: Task, folder: Path) -> dict:
    """The head without augmentation from both sides, and the first step of Phase 2 without Dropout (relative L2 norms)."""
    import keras

    from acrlls.method.model import between, build_model, frozen_cut, unfreeze_top
    from acrlls.training.engines import frozen_forward
    from acrlls.training.folding import lean

    dataset = task.dataset()
    config = task.config.replace(
        variant="proposed", augment=False, bank_dtype="float32", phase2_epochs=0, patience=None
    )
    bank = _through_bank(task, [config], folder / "exactness")["histories"][0]
    plain = _plain_phase(config, dataset, build_model(config, len(dataset.class_names)), 1, 1)[
        "history"
    ]
    result = {"head_validation_loss": _largest_gap(plain, bank)}
    rows = data.split_of(dataset, task.config).train[
        :: max(1, len(dataset) // 2 // task.config.batch_size)
    ]
    rows = rows[: task.config.batch_size]
    images, labels = data.batch(dataset, rows, task.config, 0), dataset.labels[rows]
    for batchnorm in ("frozen", "update"):
        steps = {}
        for precision in ("float32", "float64"):
            keras.config.set_floatx(precision)  # losses
            keras.config.set_dtype_policy(precision)  # layers
            model = build_model(task.config.replace(variant="proposed"), len(dataset.class_names))
            for layer in model.layers:  # masks drawn in another precision are other masks
                if isinstance(layer, keras.layers.Dropout):
                    layer.rate = 0.0
            if precision == "float32":
                weights = model.get_weights()
            model.set_weights(weights)
            unfreeze_top(model, task.config.unfrozen_layers, batchnorm)
            cut = frozen_cut(model)
            stage = between(model, cut, model.layers[-2].name)
            if precision == "float32":
                (stored,) = frozen_forward(task.config, (cut,))(images)
                whole = between(model, None, model.layers[-2].name)
                steps["plain"] = _first_step(whole, model, images, labels)
            steps[f"bank {precision}"] = _first_step(lean(stage), model, stored, labels)
            steps[f"suffix {precision}"] = _first_step(stage, model, stored, labels)
            keras.config.set_floatx("float32")
            keras.config.set_dtype_policy("float32")
        result[f"first_step_{batchnorm}"] = {
            "loss": abs(steps["bank float32"][0] / steps["plain"][0] - 1),
            "gradient": _distance(steps["bank float32"][1], steps["plain"][1]),
            "gradient, both in float64": _distance(
                steps["bank float64"][1], steps["suffix float64"][1]
            ),
            "gradient, plain in float32 to float64": _distance(
                steps["suffix float32"][1], steps["suffix float64"][1]
            ),
            "gradient, bank in float32 to float64": _distance(
                steps["bank float32"][1], steps["suffix float64"][1]
            ),
        }
    return result


def _first_step(network, model, x, labels) -> tuple[float, dict]:
    """Loss and gradient of one step, read off a step of plain gradient descent; the model is put back."""
    import keras

    start = model.get_weights()
    rate = 1e3  # large, so that the difference of the weights is not lost in their rounding
    before = {v.path: keras.ops.convert_to_numpy(v) for v in network.trainable_variables}
    network.compile(
        keras.optimizers.SGD(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    loss = network.train_on_batch(x, labels)
    after = {v.path: keras.ops.convert_to_numpy(v) for v in network.trainable_variables}
    model.set_weights(start)
    return float(np.ravel(loss)[0]), {
        p: (before[p].astype(float) - after[p]) / rate for p in before
    }


def _distance(a: dict, b: dict) -> float:
    """Relative L2 distance of two gradients over all variables together."""
    return float(
        np.sqrt(sum(np.sum((a[p] - b[p]) ** 2) for p in b) / sum(np.sum(b[p] ** 2) for p in b))
    )


def _largest_gap(first, second, column: str = "val_loss") -> float:
    a, b = (np.array([row[column] for row in rows]) for rows in (first, second))
    return float(np.abs(a / b - 1).max())


def _metrics(task: Task, folder: Path, n: int = 1_000_000) -> dict:
    """Seconds (best of nine) for class-wise ECE, Brier score and NLL of `(n, 4)` probabilities, ours and others'."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss, log_loss

    from acrlls.calibration import registry as calibration

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(4, 0.5), n)
    y = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
    classes = range(4)
    calls = {
        ("class-wise ECE", "acrlls"): lambda: calibration.classwise_ece(p, y),
        ("class-wise ECE", "scikit-learn"): lambda: [
            calibration_curve(y == k, p[:, k], n_bins=15) for k in classes
        ],
        ("Brier", "acrlls"): lambda: calibration.brier_score(p, y),
        ("Brier", "scikit-learn"): lambda: brier_score_loss(y, p, labels=classes),
        ("NLL", "acrlls"): lambda: calibration.nll(p, y),
        ("NLL", "scikit-learn"): lambda: log_loss(y, p, labels=classes),
    }
    try:
        from relplot.metrics import binnedECE
    except ImportError:
        pass
    else:
        calls["class-wise ECE", "relplot"] = lambda: [
            binnedECE(p[:, k], (y == k).astype(float), 15) for k in classes
        ]
    best = dict.fromkeys(calls, np.inf)
    for _ in range(9):  # in turn, so that what else the machine does falls on all alike
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            best[key] = min(best[key], time.perf_counter() - start)
    return {
        "seconds": [{"metric": m, "by": by, "seconds": s} for (m, by), s in best.items()],
        "n": n,
    }


def _machine(task: Task, folder: Path) -> dict:
    """Processor, versions, the peak of a large matrix product, and the multiply-adds of the network's parts."""
    import keras

    from acrlls import runs
    from acrlls.bench import cost
    from acrlls.method.model import (
        POOL,
        backbone_layers,
        between,
        build_model,
        freeze_backbone,
        frozen_cut,
        unfreeze_top,
    )
    from acrlls.training import engines

    a = keras.ops.ones((2048, 2048))
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[:1, :1])
        seconds.append(time.perf_counter() - start)
    model = build_model(task.config.replace(variant="proposed"), 4)
    freeze_backbone(model)
    head_seconds = _head_seconds(between(model, POOL, model.layers[-2].name), task.config)
    names = [layer.name for layer in model.layers]
    counts = {
        "frozen forward": sum(map(cost.multiply_adds, backbone_layers(model))),
        "head step": cost.step_multiply_adds(model.layers[names.index(POOL) :]),
    }
    unfreeze_top(model, task.config.unfrozen_layers, "frozen")
    after = names.index(frozen_cut(model)) + 1
    counts["cut forward"] = sum(map(cost.multiply_adds, model.layers[:after]))
    counts["suffix step"] = cost.step_multiply_adds(model.layers[after:])
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next(
        (line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "engine": engines.engine_version(engines.engine()),
        **runs.environment(),
        "matrix_product_flops": 2 * 2048**3 / min(seconds),
        "multiply_adds": counts,
        "head_seconds": head_seconds,
    }


def _head_seconds(head, config: Config, n: int = 10_000) -> float:
    """Seconds a training image and epoch of the head on stored features, validation included.

    Measured apart, on random vectors: among few images an epoch of the head is all overhead.
    """
    import keras

    from acrlls.training import engines

    rng = np.random.default_rng(0)
    x, y = rng.random((n, *head.input_shape[1:]), np.float32), rng.integers(0, 4, n)
    head.compile(
        keras.optimizers.Adam(config.phase1_learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=engines.jit_compile(),
        steps_per_execution=engines.steps_per_execution(n // config.batch_size),
    )
    share = int(n * config.validation_fraction / config.train_fraction)
    seconds = []
    for _ in range(3):  # the first one compiles
        start = time.perf_counter()
        head.fit(x, y, batch_size=config.batch_size, verbose=0)
        head.evaluate(x[:share], y[:share], batch_size=config.batch_size, verbose=0)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) / n


WORK = {
    "machine": _machine,
    "plain workers": _workers,
    **{f"plain {part}": _plain(part) for part in PARTS},
    **{f"bank {part}": _bank(part) for part in PARTS},
    "tuned plain": _tuned,
    "bank seeds": _seeds,
    "plain noise": _noise,
    "exactness": _exactness,
    "metrics": _metrics,
}

if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except UserError as error:
        sys.exit(str(error))
