"""Runs trained by several processes, or by the workers of a Dask scheduler, are the same runs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from acrlls import runs
from acrlls.config import UserError


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


@pytest.mark.thorough
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


@pytest.mark.thorough
@pytest.mark.parametrize("count", [1, 2, 4])
def test_workers_of_a_scheduler_train_what_one_process_trains(count, jobs, tmp_path, monkeypatch):
    runs.reproduce(one := jobs("one"))
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "other"))
    with _cluster(tmp_path, count) as (address, _), runs.workers(scheduler=address):
        runs.reproduce(two := jobs("two"))
    _same(one, two)


@pytest.mark.thorough
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
