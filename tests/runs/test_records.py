"""Recorded runs: found, read back without weights, and shipped without an image."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acrlls import runs
from acrlls.config import UserError
from acrlls.paper import NUMBERS
from acrlls.store import seal


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory):
    folder, unweighted = tmp_path_factory.mktemp("results"), {"class_weights": False}
    short = {"phase2_epochs": 0}
    for change, variant, settings in (
        ("", "baseline", {}),
        ("", "proposed", short),
        ("-unweighted", "baseline", short | unweighted),
    ):
        done = runs.run(tiny.replace(variant=variant, **settings))
        runs.record(done, folder / f"laptop{change}" / variant)
    return runs.records("laptop", folder)


def test_records_are_found_by_change_and_variant(recorded):
    assert sorted(recorded) == [("", "baseline"), ("", "proposed"), ("unweighted", "baseline")]


def test_records_are_never_found_by_half_a_name(recorded, tmp_path):
    done = recorded["", "baseline"]
    runs.record(done, tmp_path / "laptop" / "baseline")
    runs.record(done, tmp_path / "laptop-phase1" / "baseline")
    runs.record(done, tmp_path / "laptop2" / "baseline")  # of a profile of this name
    assert list(runs.records("laptop", tmp_path)) == [("", "baseline"), ("phase1", "baseline")]
    for name in ("lap", "", "*", 7, str(tmp_path / "laptop")):
        with pytest.raises(UserError, match=f"no run of profile {re.escape(repr(name))}"):
            runs.records(name, tmp_path)


def test_an_image_may_be_called_as_a_missing_value(recorded, tmp_path):
    names = ["NA", "nan", "None", "007", "1e5"]
    table = pd.DataFrame({"part": "test", "phase": 1, "name": names, "label": range(5)})
    logits = [f"logit_{c}" for c in recorded["", "baseline"].class_names]
    table[logits] = [[0.5, -2.0, 1.0, 1e-9]] * 5
    table.to_csv(tmp_path / "predictions.csv.gz", index=False)
    seal(tmp_path, {"class_names": recorded["", "baseline"].class_names})
    test = runs.Run(tmp_path, recorded["", "baseline"].config).predictions()
    assert list(test.names) == names
    np.testing.assert_array_equal(test.logits, [[0.5, -2.0, 1.0, 1e-9]] * 5)
    for value in (np.nan, np.inf):
        table.loc[2, logits[1]] = value
        table.to_csv(tmp_path / "predictions.csv.gz", index=False)
        with pytest.raises(UserError, match="phase 1, are no numbers: the training diverged"):
            runs.Run(tmp_path, recorded["", "baseline"].config).predictions()


def test_no_record_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="no run of profile 'paper' is recorded.*acrlls reproduce"):
        runs.records("paper", tmp_path)


def test_a_record_that_is_cut_off_is_no_record_or_the_old_one(recorded, tmp_path, monkeypatch):
    done, folder = recorded["", "baseline"], tmp_path / "laptop" / "baseline"
    read, replace = Path.read_bytes, Path.replace

    def stopping(act, last):
        def stopped(self, *args):
            if self.name.startswith(last):
                raise KeyboardInterrupt
            return act(self, *args)

        return stopped

    for name, act, last, is_left in [
        ("read_bytes", read, "history.csv", False),  # nothing was recorded there
        ("replace", replace, "history.csv", False),  # some files are the new ones
        ("read_bytes", read, "predictions.csv.gz", True),  # as on a full disk
        ("replace", replace, "manifest.json", False),
    ]:
        monkeypatch.setattr(Path, name, stopping(act, last))
        with pytest.raises(KeyboardInterrupt):
            runs.record(done, folder)
        monkeypatch.undo()
        if is_left:
            assert runs.records("laptop", tmp_path)["", "baseline"].manifest == done.manifest
        else:
            with pytest.raises(UserError, match="is recorded"):
                runs.records("laptop", tmp_path)
        assert not list(folder.glob("*.aside"))
        runs.record(done, folder)  # whole now, and cut off again


@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", b"{"),
        ("config.json", b'{"no_such": 1}'),
        ("config.json", b"edited"),
        ("config.json", None),
        ("manifest.json", b""),
        ("manifest.json", b"3"),
        ("manifest.json", b"edited"),
        ("history.csv", b""),
        ("scales.csv", None),
        ("predictions.csv.gz", b"cut"),
        ("predictions.csv.gz", b"text"),
        ("predictions.csv.gz", b""),
    ],
)
def test_a_damaged_record_is_named_and_what_to_do(recorded, tmp_path, name, content):
    folder = runs.record(recorded["", "baseline"], tmp_path / "laptop" / "baseline")
    content = (folder / name).read_bytes()[:99] if content == b"cut" else content
    if content == b"edited":  # another value, as well formed as before
        content = (folder / name).read_bytes().replace(b"1", b"2")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    says = (
        f"{folder} cannot be used: {name} (was edited|is missing).*; delete {folder} and .*reprod"
    )
    with pytest.raises(UserError, match=says):
        runs.records("laptop", tmp_path)


@pytest.mark.parametrize(
    "name, said",
    [
        ("laptop", "holds no record of a run; did you mean '{0}/laptop/baseline'?"),
        ("laptop/basline", "is no folder; did you mean '{0}/laptop/baseline'?"),
        ("laptpo/baseline", "is no folder; did you mean '{0}/laptop/baseline'?"),
        ("laptop/baseline/config.json", "is no folder; give one that holds predictions.csv.gz"),
        ("other", "holds no record of a run; give one that holds predictions.csv.gz"),
        (400 * "x", "is no folder; known: {0}/laptop/baseline"),
    ],
)
def test_what_is_no_record_is_never_to_be_deleted(recorded, tmp_path, name, said):
    runs.record(recorded["", "baseline"], tmp_path / "laptop" / "baseline")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")  # another program's
    with pytest.raises(UserError, match=re.escape(said.format(tmp_path))) as e:
        runs.load_run(tmp_path / name)
    assert "delete" not in str(e.value)


def test_a_folder_without_a_name_is_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("", "/etc/passwd"):
        with pytest.raises(UserError, match="; (give|known|did)") as caught:
            runs.load_run(name)
        assert "delete" not in str(caught.value)


def test_every_shipped_record_is_as_it_was_recorded():
    shipped = [file.parent for file in runs.RESULTS.glob("*/*/manifest.json")]
    assert len(shipped) > 80
    for folder in shipped:
        assert {"config.json", "predictions.csv.gz"} <= {*runs.load_run(folder).manifest["files"]}


def test_where_no_epoch_has_a_loss_the_first_is_the_best_as_its_weights_were_kept(recorded):
    done = runs.load_run(recorded["", "baseline"].folder)
    done.history["val_loss"] = np.nan
    assert done.best_epoch(1).epoch == 1


@pytest.mark.parametrize(
    "ask, said",
    [
        (lambda r: r.best_epoch(3), "has no phase 3; there are: 1, 2"),
        (lambda r: r.best_scales(1), "has no scales: baseline has no LLS"),
        (lambda r: r.predictions("val"), "no predictions for 'val', phase 2; there are: 'valid"),
        (lambda r: r.predictions("test", 3), "'test', phase 3; there are: .*'test', phase 2"),
        (lambda r: r.model(), "is a record, which holds no weights; acrlls.run"),
    ],
)
def test_what_a_record_does_not_have_is_told_with_what_it_has(ask, said):
    with pytest.raises((ValueError, UserError), match=said):
        ask(runs.load_run(runs.RESULTS / "laptop" / "baseline"))


def test_training_weights_are_those_of_the_run(recorded, phantom_data, tiny):
    from acrlls import data

    labels = phantom_data.labels[data.split_of(phantom_data, tiny).train]
    np.testing.assert_allclose(
        runs.training_weights(recorded["", "baseline"]), data.class_weights(labels, 4)
    )
    np.testing.assert_array_equal(
        runs.training_weights(recorded["unweighted", "baseline"]), np.ones(4)
    )


def test_the_shipped_records_hold_no_weights_and_no_images():
    found = [f for f in runs.RESULTS.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert {f.suffix for f in found} <= {".json", ".csv", ".gz", ".md", ".py", ".sh"}
    for done in runs.records("laptop").values():
        test = done.predictions("test")
        assert len(test.names) == len(test.labels) == len(set(test.names))


def test_the_recorded_grid_is_every_published_pair_best_first():
    grid = runs.tuning()
    assert set(zip(grid.alpha, grid.tau, strict=True)) == set(
        itertools.product(
            *([NUMBERS[f"grid.{n}.{i}"].value for i in range(1, 5)] for n in ("alpha", "tau"))
        )
    )
    assert grid.val_loss.is_monotonic_increasing
    assert runs.tuning("no-such-profile") is None
