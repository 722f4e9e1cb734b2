"""Runs trained by several processes, or by the workers of a Dask scheduler, are the same runs."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

from acrlls import data, runs
from acrlls.config import UserError
from acrlls.training import FeatureBank, bank_folder


@pytest.fixture
def jobs(tiny, tmp_path):
    few = tiny.replace(phase1_epochs=2, phase2_epochs=1, views=1)
    return lambda where: {
        tmp_path / where / f"{name}-{seed}": few.replace(variant=name, seed=seed)
        for name in ("baseline", "proposed")
        for seed in (0, 1)
    }


def _same(first, others):
    for one, other in zip(first, others, strict=True):
        a, b = runs.load_run(one), runs.load_run(other)
        timeless = a.history.drop(columns="seconds")
        assert timeless.equals(b.history.drop(columns="seconds"))
        assert np.array_equal(a.predictions("test").logits, b.predictions("test").logits)


def test_nothing_is_done_by_nobody():
    with pytest.raises(UserError, match="0 runs at once are none"):
        runs.workers(0)


def test_a_scheduler_that_does_not_answer_is_a_message():
    with pytest.raises(UserError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        runs.workers(scheduler="tcp://127.0.0.1:9")


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What workers that are threads do in a store of its own, in turn: the files of the feature
    bank that are filled, and ``"run"`` where a run begins; they train one at a time."""
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "own"))
    events, fill, one = [], FeatureBank._fill, threading.Lock()
    study = sys.modules[runs.study.__module__]
    record = study._recorded

    def filled(self, part, view, arrays):
        fill(self, part, view, arrays)
        events.extend(array.file for array in arrays if array.file.exists())

    def recorded(folder, config):
        with one:
            events.append("run")
            return record(folder, config)

    monkeypatch.setattr(FeatureBank, "_fill", filled)
    monkeypatch.setattr(study, "_recorded", recorded)
    return events


@pytest.fixture
def untrained(monkeypatch, told):
    """Runs begin and end at once."""
    study = sys.modules[runs.study.__module__]
    monkeypatch.setattr(study, "_recorded", lambda folder, config: told.append("run"))


def _with_threads(jobs):
    with joblib.parallel_config("threading", n_jobs=2):
        runs.reproduce(jobs)


thorough = pytest.mark.thorough


@pytest.mark.parametrize(
    ("changes", "of_one"),
    [
        ({"views": 2, "phase2_epochs": 0}, {"augment_seed": 1}),  # plain images are shared
        pytest.param({"views": 2}, {"phase2_epochs": 0}, marks=thorough),
        pytest.param({"views": None}, {"views": 1}, marks=thorough),
        pytest.param({"augment": False}, {}, marks=thorough),
        pytest.param({"patience": 1}, {}, marks=thorough),
        pytest.param({"unfrozen_layers": 0}, {}, marks=thorough),
    ],
)
def test_two_workers_fill_what_runs_will_ask_for_once_before_the_first(changes, of_one, jobs, told):
    (one, first), _, (other, second), _ = jobs("all").items()
    wanted = {one: first.replace(**changes), other: second.replace(**{**changes, **of_one})}
    _with_threads(wanted)
    filled = told[: told.index("run")]
    assert told[len(filled) :] == ["run", "run"]
    assert len(set(filled)) == len(filled)
    assert set(filled) == set(bank_folder().rglob("*.npy")) != set()
    shutil.rmtree(bank_folder())
    told.clear()
    _with_threads(wanted)  # kept, so that they ask for nothing
    assert told == ["run", "run"]


def test_one_worker_leaves_the_views_to_the_runs(jobs, told, untrained):
    runs.reproduce(jobs("all"))
    assert told == ["run"] * 4


def test_two_workers_fill_no_view_for_which_another_would_be_deleted(
    jobs, told, untrained, monkeypatch, phantom_data
):
    (folder, config), *_ = jobs("all").items()
    n = len(data.split_of(phantom_data, config).train)
    # bytes: of the plain images, which are fewer, and a view; not two
    monkeypatch.setenv("ACRLLS_BANK_GB", str(n * 1280 * 4 * 1.9 / 1e9))
    _with_threads({folder: config.replace(phase2_epochs=0, views=None, phase1_epochs=3)})
    assert sorted(f.stem for f in told[:-1]) == ["test", "train-view-0", "validation"]
    assert told[-1] == "run"


@thorough
def test_two_processes_train_what_one_trains(jobs, tmp_path, monkeypatch):
    runs.reproduce(one := jobs("one"))
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "other"))
    with runs.workers(2):
        runs.reproduce(two := jobs("two"))
    _same(one, two)


@contextlib.contextmanager
def _cluster(folder, count):
    """A scheduler and workers, each a process of its own; gives the address and the workers."""
    note, aside = (
        folder / "scheduler.json",
        {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )

    def started(name, *options):
        command = [sys.executable, "-m", f"distributed.cli.{name}", "--scheduler-file", str(note)]
        return subprocess.Popen([*command, "--no-dashboard", *options], **aside)

    processes = [started("dask_scheduler", "--host=127.0.0.1", "--port=0")]
    try:
        while not note.exists():
            time.sleep(0.1)
        for k in range(count):
            own = ["--nthreads=1", "--no-nanny", f"--local-directory={folder / str(k)}"]
            processes.append(started("dask_worker", *own))
        yield json.loads(note.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@thorough
@pytest.mark.parametrize("count", [1, 2, 4])
def test_workers_of_a_scheduler_train_what_one_process_trains(count, jobs, tmp_path, monkeypatch):
    runs.reproduce(one := jobs("one"))
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "other"))
    with _cluster(tmp_path, count) as (address, _), runs.workers(scheduler=address):
        runs.reproduce(two := jobs("two"))
    _same(one, two)


@thorough
def test_a_worker_killed_in_the_middle_of_a_run_loses_nothing(jobs, tmp_path, monkeypatch):
    runs.reproduce(one := jobs("one"))
    store = tmp_path / "other"
    monkeypatch.setenv("ACRLLS_STORE", str(store))
    with _cluster(tmp_path, 2) as (address, processes), runs.workers(scheduler=address):

        def kill():
            while not list(store.glob("*.partial/last_1.npz")):
                time.sleep(0.02)
            os.kill(processes[0].pid, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        runs.reproduce(two := jobs("two"))
    assert processes[0].poll() == -signal.SIGKILL
    _same(one, two)
