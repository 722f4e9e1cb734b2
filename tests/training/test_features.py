"""The feature bank: exact, proof against accidents, and within its bound."""

import contextlib
import importlib.util
import json
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import harm

from acrlls import cli, data
from acrlls.config import UserError
from acrlls.data.dataset import PhantomDataset
from acrlls.method import model as m
from acrlls.runs import cache, runs
from acrlls.store import locked, seal, store
from acrlls.training import algorithm as training
from acrlls.training import bank as features
from acrlls.training import engines, stored
from acrlls.training.bank import FeatureBank
from acrlls.training.stored import StoredArray

VALUES = np.arange(60, dtype="float32").reshape(10, 6)


@pytest.fixture
def own_store(monkeypatch, tmp_path):
    """A store of the test's own."""
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))


def fill(array):
    with array.filling({"engine": "none"}) as take:
        take(VALUES[:4])
        take(VALUES[4:])


# ---------------------------------------------------------------- stored arrays


def test_a_filled_array_is_an_ordinary_npy_file(tmp_path):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    assert not array.whole()
    fill(array)
    assert array.whole() and array.note["engine"] == "none"
    np.testing.assert_array_equal(np.load(array.file), VALUES)
    np.testing.assert_array_equal(array.open(), VALUES)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what is mapped")
def test_rows_that_were_read_do_not_stay_in_memory(tmp_path):
    array = StoredArray(tmp_path / "a.npy", (1000, 1024), "float32")
    values = np.arange(1000, dtype="float32")[:, None].repeat(1024, axis=1)
    with array.filling({"engine": "none"}) as append:
        append(values)

    def mapped():
        """Kilobytes of the file that count as memory of this process."""
        _, _, ours = Path("/proc/self/smaps").read_text().partition(str(array.file))
        return int(ours.partition("Rss:")[2].split()[0])

    opened, rows = array.open(), np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(np.array(opened), values)
    assert mapped() > 3900  # all of it, as NumPy reads it
    for some in np.split(rows, 20):
        np.testing.assert_array_equal(stored.take(opened, some), values[some])
        assert mapped() < 100


@pytest.mark.parametrize("how", ["cut", "flip", "empty"])
def test_a_damaged_array_is_never_taken_for_whole(tmp_path, how):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    fill(array)
    assert array.whole()
    harm(array.file, how)
    assert not array.whole()
    fill(array)
    assert array.whole()


def test_a_note_of_another_layout_or_none_counts_for_nothing(tmp_path):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    fill(array)
    assert not StoredArray(array.file, (10, 6), "float16").whole()
    array.note_file.write_text('{"layout":')
    assert not array.whole()


def test_a_filling_that_is_cut_off_leaves_nothing(tmp_path):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    with pytest.raises(KeyboardInterrupt), array.filling({}) as take:
        take(VALUES[:4])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    fill(array)
    np.testing.assert_array_equal(array.open(), VALUES)


@pytest.mark.parametrize("lost", ["engine", "files", "seal"])
def test_an_array_whose_note_lacks_something_is_not_whole(tmp_path, lost):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    fill(array)
    note = {name: value for name, value in array.note.items() if name != lost}
    array.note_file.write_text(json.dumps(note))
    assert not array.whole()


def test_a_folder_in_the_place_of_an_array_makes_way(tmp_path):
    array = StoredArray(tmp_path / "a.npy", (10, 6), "float32")
    array.file.mkdir()
    stored.delete(array.file)
    fill(array)
    assert array.whole()


# ---------------------------------------------------------------- the bound


def test_room_is_the_limit_less_what_is_stored_and_never_more_than_the_disk_has(
    own_store, monkeypatch
):
    monkeypatch.setenv("ACRLLS_BANK_GB", "1e-6")  # 1,000 bytes
    array = StoredArray(stored.bank_folder() / "key" / "pool" / "a.npy", (10, 6), "float32")
    with array.filling({"engine": "none"}) as take:
        assert stored.room() < 1000 - 240  # before a row is written
        take(VALUES)
    assert stored.room() == 1000 - stored.used(stored.bank_folder()) < 1000 - 240
    monkeypatch.setattr(stored, "_free", lambda: 17)
    assert stored.room() == 17
    monkeypatch.delenv("ACRLLS_BANK_GB")
    assert stored.limit() == (stored.used(stored.bank_folder()) + 17) // 2


def test_a_link_that_leads_nowhere_makes_room_as_a_view_does(own_store, monkeypatch):
    link = stored.bank_folder() / "key" / "pool" / "train-view-0.npy"
    link.parent.mkdir(parents=True)
    link.symlink_to("nowhere")
    monkeypatch.setenv("ACRLLS_BANK_GB", "1e-6")
    with pytest.raises(UserError, match="views would take 0.0 MB"):
        stored.require_room(2000, "views")
    assert not link.is_symlink()


@pytest.mark.parametrize("value", ["much", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, value):
    monkeypatch.setenv("ACRLLS_BANK_GB", value)
    with pytest.raises(UserError, match="number of gigabytes above 0"):
        stored.limit()


def test_what_does_not_fit_is_refused_before_anything_is_written(
    own_store, tiny, phantom_data, monkeypatch
):
    monkeypatch.setenv("ACRLLS_BANK_GB", "1e-6")
    with pytest.raises(UserError, match="pool of test would take.*at most 0.0 MB.*ACRLLS_BANK_GB"):
        FeatureBank(tiny, phantom_data, m.build_model(tiny, 4)).features("test", "pool")
    with pytest.raises(UserError, match="features pool of train, view 0 would take"):
        training.train(tiny, phantom_data, stored.bank_folder().parent / "run")
    assert stored.used(stored.bank_folder()) == 0


# ---------------------------------------------------------------- the bank


def test_the_bank_mends_itself_and_says_so(own_store, tiny, phantom_data, caplog):
    bank = FeatureBank(tiny, phantom_data, m.build_model(tiny, 4))
    kept = np.array(bank.features("test", "pool"))
    (file,) = stored.bank_folder().rglob("test.npy")
    harm(file, "flip")
    np.testing.assert_array_equal(bank.features("test", "pool"), kept)
    assert "test.npy is damaged and computed again" in caplog.text


def test_views_are_filled_side_by_side_and_not_cleared_meanwhile(own_store, tiny, phantom_data):
    bank = FeatureBank(tiny, phantom_data)
    bank.features("train", "pool", 2)
    (folder,) = stored.bank_folder().glob("*/pool")
    theirs, left = (folder / f"train-view-{name}.1.aside" for name in ("10.npy", "1.json"))
    for aside in (theirs, left):  # of a process at work, and of one that was killed
        aside.write_bytes(b"")
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as other:
        other.enter_context(locked(folder.parent / "lock", shared=True))
        other.enter_context(locked(folder.parent / "lock-train-view-10"))
        asked = pool.submit(bank.features, "train", "pool", 1)
        end = time.monotonic() + 60
        while not asked.done() and time.monotonic() < end:
            time.sleep(0.01)
        done = asked.done()
        assert not cache.entries(["features"])[0].delete()
    assert done and theirs.exists() and not left.exists()
    assert cache.entries(["features"])[0].delete() and not list(stored.bank_folder().iterdir())


def test_filling_holds_a_few_images_at_a_time_however_many_there_are(
    own_store, tiny, phantom_data, monkeypatch
):
    make, made, most, rows = data.batch, [], [], []

    def watched(*arguments):
        images = make(*arguments)
        made.append(weakref.ref(images))
        rows.extend(arguments[1])
        most.append(sum(batch() is not None for batch in made))
        return images

    monkeypatch.setattr(features, "_PIECE", 3)  # does not divide their number
    monkeypatch.setattr(features, "batch", watched)
    bank = FeatureBank(tiny, phantom_data, m.build_model(tiny, 4))
    stored = bank.features("train", "pool", 1)
    assert len(made) > 10 and max(most) <= 3  # in use, next, and being made
    np.testing.assert_array_equal(rows, bank.split.train)
    images = make(phantom_data, rows, tiny, 1)
    np.testing.assert_allclose(
        stored, engines.frozen_forward(tiny, ("pool",))(images)[0], rtol=1e-5, atol=1e-6
    )


def test_the_key_covers_what_the_features_follow_from(tiny, phantom_data, monkeypatch):
    model = m.build_model(tiny, 4)

    def key(view=0, dataset=phantom_data, **changes):
        return FeatureBank(tiny.replace(**changes), dataset, model)._key(view)

    changes = [
        {"backbone": "random"},
        {"backbone": "random", "seed": 1},
        {"image_size": 64},
        {"input_range": "-1..1"},
        {"split_seed": 1},
        {"rotation": 7.0},
        {"augment_seed": 1},
        {"bank_dtype": "float16"},
        {"dataset": PhantomDataset(160, 1, 48)},
        {"view": None},
    ]
    assert len({key(), *(key(**change) for change in changes)}) == 1 + len(changes)
    # the head's settings share it, and so do plain images whatever the augmentation
    assert key() == key(variant="baseline", alpha=1.0, phase1_epochs=3, batch_size=5, seed=1)
    assert key(view=None) == key(view=None, rotation=7.0)
    before = key()
    monkeypatch.setattr(features, "_SOURCES", ("method/model.py",))
    assert key() != before


def test_keras_computes_one_layer_alone_as_with_others_and_in_batches_of_any_size(
    tiny, monkeypatch
):
    images = np.random.default_rng(0).random((10, 48, 48, 3), np.float32)
    monkeypatch.setenv("ACRLLS_ENGINE", "keras")
    monkeypatch.setattr(engines, "_BATCH", 4)
    (alone,) = engines.frozen_forward(tiny, ("pool",))(images)
    _, pooled = engines.frozen_forward(tiny, ("block_10_project_BN", "pool"))(images)
    assert len(alone) == 10
    np.testing.assert_allclose(alone, pooled, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="openvino is not installed")
def test_openvino_and_keras_agree_to_rounding(own_store, tiny, phantom_data, monkeypatch, tmp_path):
    stored = {}
    for engine in engines.ENGINES:
        monkeypatch.setenv("ACRLLS_ENGINE", engine)
        monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / engine))
        bank = FeatureBank(tiny, phantom_data, m.build_model(tiny, 4))
        layers = ("block_10_project_BN", "pool")
        stored[engine] = [bank.features("test", name, 0, also=layers) for name in layers]
        assert [name.split()[0] for name in bank.engines] == [engine]
    for a, b in zip(*stored.values(), strict=True):
        assert 0 < np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(b)
    assert sys.modules["openvino_telemetry"] is None


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("ACRLLS_ENGINE", "onnx")
    with pytest.raises(UserError, match="'onnx'; choose one of: openvino, keras"):
        engines.engine()
    monkeypatch.setenv("ACRLLS_ENGINE", "openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with monkeypatch.context() as jax:
        jax.setattr(engines.keras.backend, "backend", lambda: "jax")
        with pytest.raises(UserError, match="needs the TensorFlow backend"):
            engines.engine()
        jax.delenv("ACRLLS_ENGINE")
        assert engines.engine() == "keras"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed.*requirements-fast.txt"):
        engines.engine()
    monkeypatch.delenv("ACRLLS_ENGINE")
    assert engines.engine() == "keras"


# ---------------------------------------------------------------- without room, and side by side


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_for_whose_views_there_is_no_room_is_what_it_is_with_all_kept(
    tiny, phantom_data, tmp_path, monkeypatch
):
    """About one view at a time on the disk; killed and resumed on the way."""
    config = tiny.replace(views=None, patience=1)
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "kept"))
    kept = runs.run(config)
    assert len(list(stored.bank_folder().rglob("train-view-*.npy"))) == 3
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "little"))
    n, width = len(data.split_of(phantom_data, tiny).train), 1280
    bound = n * width * 4 * 1.9  # bytes: of the plain images and a view, not two
    monkeypatch.setenv("ACRLLS_BANK_GB", str(bound / 1e9))
    fill, killed = FeatureBank._fill, []

    def watched(self, part, view, arrays):
        fill(self, part, view, arrays)
        assert stored.used(stored.bank_folder()) <= bound
        if view == 1 and not killed:
            killed.append(view)
            raise KeyboardInterrupt

    monkeypatch.setattr(FeatureBank, "_fill", watched)
    with pytest.raises(KeyboardInterrupt):
        runs.run(config)
    found = runs.run(config)
    assert len(list(stored.bank_folder().rglob("pool/train-view-*.npy"))) <= 1
    columns = ["phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    pd.testing.assert_frame_equal(kept.history[columns], found.history[columns], rtol=1e-5)


def test_what_another_process_trains_is_waited_for_after_all_else_is_done(tiny, trained, own_store):
    configs = [tiny.replace(variant=v) for v in ("baseline", "proposed", "acr_only")]
    first = store() / runs.run_digest(configs[0], data.load_data(configs[0]))
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as other:
        other.enter_context(locked(first.with_suffix(".lock")))
        asked = pool.submit(runs.run_all, configs)
        end = time.monotonic() + 60
        while len(trained) < 2 and time.monotonic() < end and not asked.done():
            time.sleep(0.01)
        assert trained == configs[1:]
        other.close()
        found = asked.result(timeout=60)
    assert trained == [*configs[1:], configs[0]]
    assert [run.config for run in found] == configs


# ---------------------------------------------------------------- listed and cleared


@pytest.fixture
def full_store(own_store, tiny, phantom_data):
    """A store with features, a run, a run cut off, and drawn phantoms."""
    FeatureBank(tiny, phantom_data, m.build_model(tiny, 4)).features("test", "pool")
    home = store()
    for name in ("0123456789", "abcdef0123.partial"):
        (home / name).mkdir()
        (home / name / "config.json").write_text(
            '{"variant": "proposed", "profile": "quick", "seed": 3}'
        )
        seal(home / name, {})
    (home / "phantom").mkdir()
    np.savez(home / "phantom" / "0123.npz", np.arange(5))
    return home


def kinds():
    return [entry.kind for entry in cache.entries()]


def test_cache_lists_what_is_kept_how_large_and_for_which_settings(full_store, capsys):
    assert cli.main(["cache"]) == 0
    listed = capsys.readouterr().out
    assert "/pool" in listed and "1 files by " in listed
    assert "data phantom" in listed and "image_size 48" in listed
    assert "variant proposed, profile quick" in listed and "seed 3" in listed
    assert "4 entries" in listed and "ACRLLS_BANK_GB" in listed


def test_checking_names_the_run_and_the_features_that_are_damaged(full_store, capsys):
    assert cli.main(["cache", "--check"]) == 0 and "not as it was" not in capsys.readouterr().out
    (array,) = stored.bank_folder().rglob("*.npy")
    harm(array, "flip")
    with (full_store / "0123456789" / "config.json").open("a") as file:
        file.write(" ")
    assert cli.main(["cache", "--check"]) == 1
    said = capsys.readouterr().out
    assert f"not as it was written: {array.stem};" in said and "config.json was edited;" in said


def test_clearing_takes_features_alone_unless_another_thing_is_named(full_store, capsys):
    assert cli.main(["cache", "--clear"]) == 0
    assert kinds() == ["unfinished", "phantom", "runs"] and not any(stored.bank_folder().iterdir())
    assert cli.main(["cache", "unfinished", "--clear"]) == 0
    assert kinds() == ["phantom", "runs"]
    assert cli.main(["cache", "012345", "--clear"]) == 0
    assert kinds() == ["phantom"]


@pytest.mark.parametrize(
    "chosen, said", [("0123", "begins 2 names"), ("", "is nothing"), ("fff", "is nothing")]
)
def test_a_choice_that_is_not_clear_deletes_nothing(full_store, capsys, chosen, said):
    assert cli.main(["cache", chosen, "--clear"]) == 2
    assert said in capsys.readouterr().err and len(kinds()) == 4
