"""Several runs asked for at once: their folders' names, and what is left alone."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acrlls import runs, store
from acrlls.config import UserError
from acrlls.runs import RESULTS, study
from acrlls.runs.study import folder_name


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "laptop"),
        ({"seed": 1, "phase2_epochs": 0}, "laptop-phase1-seed-1"),
        (
            {"seed": 1, "class_weights": False, "phase2_epochs": 0},
            "laptop-phase1-unweighted-seed-1",
        ),
        ({"seed": 0, "loss": "focal", "phase2_epochs": 0}, "laptop-phase1-focal-seed-0"),
        ({"loss": "cross_entropy", "batchnorm": "frozen"}, "laptop-batchnorm-frozen"),
        ({"backbone": "/somewhere/weights.h5", "alpha": 0.1}, "laptop-alpha-0.1"),
        ({"grid_tau": [0.1, 0.2]}, "laptop-grid-tau-0.1-0.2"),
    ],
)
def test_a_folder_is_named_after_what_was_changed(changes, name):
    assert folder_name("laptop", changes) == name


def test_every_combination_has_a_folder_seed_by_seed():
    lists = {"seed": [0, 1], "loss": ["cross_entropy", "focal"], "variant": ["baseline"]}
    jobs = study("quick", {"phase2_epochs": 0}, lists)
    groups = ["quick-phase1-seed-0", "quick-phase1-focal-seed-0", "quick-phase1-seed-1"]
    assert list(jobs)[:3] == [RESULTS / group / "baseline" for group in groups]
    assert [(c.seed, c.loss) for c in jobs.values()][2:] == [(1, "cross_entropy"), (1, "focal")]
    named = study("quick", {}, lists, "mine-{loss}-{seed}")
    assert [str(f) for f in named][1] == "mine-focal-0/baseline"


@pytest.mark.parametrize(
    ("output", "said"),
    [("mine-{loss}", "two runs .* mine-cross_entropy"), ("{sead}", "not: 'sead'")],
)
def test_a_folder_for_two_runs_or_of_an_unknown_setting_is_refused(output, said):
    with pytest.raises(UserError, match=said):
        study("quick", {}, {"seed": [0, 1], "variant": ["baseline"]}, output)


def test_a_worker_that_stands_elsewhere_records_in_the_folder_that_was_meant(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    told = []
    monkeypatch.setattr(
        sys.modules[study.__module__], "_recorded", lambda folder, config: told.append(folder)
    )
    runs.reproduce({Path("mine") / "baseline": tiny})
    assert told == [tmp_path / "mine" / "baseline"]


def test_a_run_that_is_asked_for_twice_is_called_so(tmp_path):
    with pytest.raises(UserError, match="r-1/baseline; one is given twice"):
        study("quick", {}, {"seed": [1, 1], "variant": ["baseline"]}, tmp_path / "r-{seed}")


def test_a_setting_that_is_given_twice_is_refused():
    with pytest.raises(UserError, match="seed is given twice"):
        study("quick", {"seed": 1}, {"seed": [2], "variant": ["baseline"]})


def test_runs_are_not_trained_for_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"):
        study("quick", {}, {"variant": ["baseline"]}, tmp_path / "out")


def test_runs_are_not_trained_for_a_folder_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr(store.os, "access", lambda place, how: place != tmp_path)
    with pytest.raises(UserError, match=f"cannot be written: {tmp_path} is read-only"):
        study("quick", {}, {"variant": ["baseline"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_profile_called_as_one_that_ships_needs_a_folder(tmp_path):
    (tmp_path / "laptop.yml").write_text("profile: quick\n")
    with pytest.raises(UserError, match="called as a profile that ships; give -o"):
        study(str(tmp_path / "laptop.yml"), {}, {"variant": ["baseline"]})
    assert study(str(tmp_path / "laptop.yml"), {}, {"variant": ["baseline"]}, tmp_path / "out")


@pytest.mark.parametrize("missing", [False, True])
def test_a_record_of_other_settings_or_images_is_never_overwritten(tiny, tmp_path, missing):
    config = tiny.replace(phase2_epochs=0, phase1_epochs=1, views=1, variant="baseline")
    folder = tmp_path / "baseline"
    runs.reproduce({folder: config})
    before = (folder / "manifest.json").read_bytes()
    runs.reproduce({folder: config.replace(bins=3)}, missing)  # which no training sees
    for change, said in (({"seed": 5}, "another seed;"), ({"phantom_seed": 5}, "set of images;")):
        with pytest.raises(UserError, match=said):
            runs.reproduce({folder: config.replace(**change)}, missing)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_damaged_record_is_neither_left_alone_nor_overwritten(tiny, tmp_path):
    config = tiny.replace(phase2_epochs=0, phase1_epochs=1, views=1, variant="baseline")
    runs.reproduce({tmp_path: config})
    (tmp_path / "predictions.csv.gz").write_bytes(b"edited")
    for missing in (False, True):
        with pytest.raises(UserError, match="predictions.csv.gz was edited; delete .* and have it"):
            runs.reproduce({tmp_path: config}, missing)


def test_what_has_a_record_is_left_alone_on_request(tiny, tmp_path, capsys):
    config = tiny.replace(phase2_epochs=0, phase1_epochs=1, views=1)
    jobs = {tmp_path / name: config.replace(variant=name) for name in ("baseline", "lls_only")}
    first = dict([next(iter(jobs.items()))])
    runs.reproduce(first)
    before = (tmp_path / "baseline" / "manifest.json").stat().st_mtime_ns
    runs.reproduce(jobs, missing=True)
    said = capsys.readouterr().out
    assert (tmp_path / "baseline" / "manifest.json").stat().st_mtime_ns == before
    assert "runs to do: 1; recorded already: 1" in said
    assert runs.load_run(tmp_path / "lls_only").history.size
    runs.reproduce(jobs)
    assert "runs to do: 2; recorded already: 0" in (again := capsys.readouterr().out)
    assert again.count("minutes left") == 1


def test_a_run_that_diverged_says_so_and_is_not_recorded(tiny, tmp_path, monkeypatch):
    done = runs.run(tiny.replace(variant="baseline", phase2_epochs=0))
    found = {where: replace(p, logits=np.nan * p.logits) for where, p in done._predictions.items()}
    monkeypatch.setitem(done.__dict__, "_predictions", found)
    monkeypatch.setattr(sys.modules["acrlls.runs.study"], "run", lambda config: done)
    with pytest.raises(UserError, match="'test', phase 1, are no numbers: the training diverged"):
        runs.reproduce({tmp_path / "r" / "baseline": done.config})
    assert not (tmp_path / "r").exists()
