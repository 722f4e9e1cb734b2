"""Killed at any moment, or where the disk is full, training, grid and record go on and give what an
unbroken process gives.

A kill is an exception at an access to the store, after which every further one fails too, so that
nothing is tidied up; what follows starts as a new process would, from what lies on the disk. On a
full disk, no file or folder can be made any more, but what is there can be moved and removed.
"""

import contextlib
import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from acrlls import runs, store
from acrlls.config import UserError

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}
_watch = {"folder": None, "left": None, "seen": 0, "full": False}


class Killed(BaseException):
    """No ``except Exception`` catches it."""


def _hook(event, arguments):
    if _watch["folder"] is None or event != "open" and event not in _CHANGES:
        return
    path, *rest = arguments
    if not isinstance(path, (str, os.PathLike)) or not str(path).startswith(_watch["folder"]):
        return
    if event == "open" and not rest[1] & (os.O_WRONLY | os.O_RDWR):
        return
    if _watch["full"] and event not in ("open", "os.mkdir"):
        return
    _watch["seen"] += 1
    if _watch["left"] is not None and _watch["seen"] > _watch["left"]:
        raise OSError(errno.ENOSPC, "No space left on device") if _watch["full"] else Killed


@contextlib.contextmanager
def _dying(folder, after=None, full=False):
    """Count changes of files below a folder; the one after so many, and all later ones, fail."""
    _watch.update(folder=str(folder), left=after, seen=0, full=full)
    try:
        yield
    finally:
        _watch["folder"] = None


@pytest.fixture(scope="module", autouse=True)
def watched():
    sys.addaudithook(_hook)  # stays for good, and is idle while no folder is watched


def _outcome(folders):
    """Settings, history without times, scales and logits of recorded runs."""
    found = []
    for folder in folders:
        run = runs.load_run(folder)
        parts = [run.predictions(part).logits for part in ("validation", "test")]
        history = run.history.drop(columns="seconds").to_numpy()
        found.append([run.config.as_dict(), *parts, history, (folder / "scales.csv").read_text()])
    return found


def _train(config, folder):
    runs.reproduce({folder / "proposed": config}, missing=True)
    return [folder / "proposed"]


def _grid(config, folder):
    pairs = runs.grid(config.replace(grid_epochs=1))
    return [runs.record(run, folder / f"{a}-{t}") for (a, t), run in pairs.items()]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("work", "kills"),
    [
        pytest.param(_train, 6, id="training-a-few"),
        pytest.param(_train, 140, id="training"),
        pytest.param(_grid, 60, id="grid"),
    ],
)
def test_what_was_killed_ends_as_if_it_had_not_been(work, kills, tiny, tmp_path, monkeypatch):
    rng = np.random.default_rng(kills)
    config, expected, moments = _unbroken(work, tiny, tmp_path, monkeypatch)
    for k in range(kills):
        folder = tmp_path / f"killed-{k}"
        monkeypatch.setenv("ACRLLS_STORE", str(folder / "store"))
        after = int(rng.integers(moments))
        with pytest.raises(Killed), _dying(folder, after):
            work(config, folder / "results")
        with monkeypatch.context() as another:
            another.setattr(store.os, "getpid", lambda: 2**22 + 1)
            _check(work(config, folder / "results"), expected, folder, after)


@pytest.mark.thorough
@pytest.mark.parametrize("work", [_train, _grid])
def test_a_full_disk_is_a_message_and_with_room_again_the_work_goes_on(
    work, tiny, tmp_path, monkeypatch
):
    config, expected, moments = _unbroken(work, tiny, tmp_path, monkeypatch, full=True)
    for after in np.random.default_rng(0).choice(moments, 12, replace=False):
        folder = tmp_path / f"full-{after}"
        monkeypatch.setenv("ACRLLS_STORE", str(folder / "store"))
        said = pytest.raises(UserError, match="No space left on device")
        with said, _dying(folder, after, full=True):
            work(config, folder / "results")
        _check(work(config, folder / "results"), expected, folder, after)


def _unbroken(work, tiny, tmp_path, monkeypatch, full=False):
    """The config, what the work gives, and how many changes it makes."""
    config = tiny.replace(phase1_epochs=2, phase2_epochs=1, views=1)
    for name in ("first", "whole"):  # the phantoms are drawn for the first alone
        monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / name / "store"))
        with _dying(tmp_path / name, full=full):
            expected = _outcome(work(config, tmp_path / name / "results"))
    assert _watch["seen"] > 20
    return config, expected, _watch["seen"]


def _check(folders, expected, folder, after):
    """The work gave the same, and nothing half written is left."""
    for mine, whole in zip(_outcome(folders), expected, strict=True):
        for one, other in zip(mine, whole, strict=True):
            np.testing.assert_equal(one, other, err_msg=f"failed at change {after}")
    left = [p.name for p in Path(folder).rglob("*") if ".aside" in p.name]
    assert not left, f"failed at change {after}"
