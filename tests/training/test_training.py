"""Algorithm 1, the feature bank and kept runs, on a tiny phantom."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import harm
from keras import ops

from acrlls import data, runs
from acrlls.data.dataset import PhantomDataset
from acrlls.method import model as m
from acrlls.runs import runs as runs_module
from acrlls.store import Damaged, store
from acrlls.training import algorithm as training
from acrlls.training import phase as phase_module
from acrlls.training import phases, seed_dropout
from acrlls.training.bank import FeatureBank
from acrlls.training.phase import Phase, load_variables, save_variables


def snapshot(model, kind):
    return {
        v.path: ops.convert_to_numpy(v).copy()
        for layer in m.backbone_layers(model)
        for v in getattr(layer, kind)
    }


def run_phase(config, dataset, folder, number):
    """Train a phase; returns the backbone's weights before and after, and the model."""
    folder.mkdir(exist_ok=True)
    model = m.build_model(config, len(dataset.class_names))
    learning = config.unfrozen_layers if number == 2 else 0
    m.unfreeze_top(model, learning, config.batchnorm)
    before = snapshot(model, "weights")
    bank = FeatureBank(config, dataset, model)
    Phase(phases(config)[number - 1], bank, folder).train()
    return before, snapshot(model, "weights"), model


def moved(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


# ---------------------------------------------------------------- what is frozen stays


@pytest.mark.parametrize("features", ["stored", "recomputed"])
def test_phase_1_moves_no_weight_and_no_statistic_of_the_backbone(
    tiny, phantom_data, tmp_path, features, monkeypatch
):
    if features == "recomputed":  # the whole network in `fit`, as without a feature bank
        monkeypatch.setattr(phase_module, "frozen_cut", lambda model: None)
    before, after, _ = run_phase(tiny, phantom_data, tmp_path / "p", 1)
    assert moved(before, after) == set()


def test_phase_2_moves_the_last_layers_and_their_statistics_alone(tiny, phantom_data, tmp_path):
    before, after, model = run_phase(tiny, phantom_data, tmp_path / "p", 2)
    last = m.backbone_layers(model)[-tiny.unfrozen_layers :]
    top = {v.path for layer in last for v in layer.weights}
    assert moved(before, after) == top
    assert any("moving_mean" in path for path in top)


def test_frozen_batchnorm_keeps_its_statistics_in_phase_2(tiny, phantom_data, tmp_path):
    before, after, _ = run_phase(tiny.replace(batchnorm="frozen"), phantom_data, tmp_path / "p", 2)
    assert moved(before, after) and not any("_BN" in p or "bn_" in p for p in moved(before, after))


# ---------------------------------------------------------------- the feature bank


@pytest.mark.parametrize("layer", ["pool", "block_10_project_BN"])
@pytest.mark.parametrize("view", [None, 1])
def test_stored_features_are_those_of_the_network(tiny, phantom_data, layer, view):
    model = m.build_model(tiny, 4)
    bank = FeatureBank(tiny, phantom_data, model)
    stored = bank.features("train", layer, view)
    rows = bank.split.train[:16]
    images = data.batch(phantom_data, rows, tiny, view)
    expected = ops.convert_to_numpy(m.between(model, None, layer)(images))
    assert expected.std() > 0.05
    np.testing.assert_allclose(stored[:16], expected, rtol=1e-4, atol=1e-5)


def test_half_precision_rounds_views_but_never_the_plain_images(tiny, phantom_data):
    bank = FeatureBank(tiny.replace(bank_dtype="float16"), phantom_data, m.build_model(tiny, 4))
    assert bank.features("train", "pool", 0).dtype == np.float16
    assert bank.features("test", "pool").dtype == np.float32


def test_as_many_views_as_epochs_by_default_and_recycled_on_request(tiny):
    first, second = phases(tiny)
    assert [*first.views, *second.views] == list(range(tiny.phase1_epochs + tiny.phase2_epochs))
    assert (len(first.views), len(second.views)) == (tiny.phase1_epochs, tiny.phase2_epochs)
    recycled = tiny.replace(views=2, phase1_epochs=3, phase2_epochs=4)
    assert [plan.views for plan in phases(recycled)] == [(0, 1, 0), (1, 0, 1, 0)]
    assert phases(tiny.replace(augment=False))[0].views == (None, None)
    assert len(phases(tiny.replace(phase2_epochs=0))) == 1


@pytest.mark.thorough
def test_training_on_stored_features_equals_training_on_images(
    tiny, phantom_data, tmp_path, monkeypatch
):
    """The bank changes the cost, not the result, in the head and in the suffix alike."""
    config = tiny.replace(views=None, phase1_epochs=2, batchnorm="frozen")
    other = config.replace(augment_seed=1, phase2_epochs=0)
    histories = {}
    for kind in ("stored", "recomputed", "other views"):
        if kind == "recomputed":
            monkeypatch.setattr(phase_module, "frozen_cut", lambda model: None)
        folder = tmp_path / kind
        training.train(other if kind == "other views" else config, phantom_data, folder)
        histories[kind] = pd.read_csv(folder / "history.csv")
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(
            histories["stored"][column], histories["recomputed"][column], rtol=3e-4
        )
        # so close only because the images are the same ones
        assert (
            abs(histories["other views"][column] / histories["stored"][column][:2] - 1) > 1e-3
        ).all()


# ---------------------------------------------------------------- selection and loss


def test_each_phase_keeps_its_best_epoch_and_the_better_phase_is_returned(tiny):
    done = runs.run(tiny)
    assert done.manifest["device"]  # such as "CPU:0", or the name of a GPU
    bests = done.manifest["best"]
    for phase in (1, 2):
        assert bests[str(phase)]["val_loss"] == pytest.approx(
            done.history[done.history.phase == phase].val_loss.min()
        )
    selected = done.manifest["selected_phase"]
    assert bests[str(selected)]["val_loss"] == min(b["val_loss"] for b in bests.values())


def test_recorded_predictions_are_those_of_the_returned_model(tiny, phantom_data):
    done = runs.run(tiny)
    rows = data.split_of(phantom_data, tiny).test
    expected = done.model().predict(data.batch(phantom_data, rows, tiny), verbose=0)
    kept = done.predictions("test")
    assert kept.names.tolist() == phantom_data.names[rows].tolist()
    np.testing.assert_array_equal(kept.labels, phantom_data.labels[rows])
    np.testing.assert_allclose(kept.probabilities, expected, atol=1e-4)


def test_validation_loss_has_neither_class_weights_nor_acr(tiny):
    from sklearn.metrics import log_loss

    done = runs.run(tiny.replace(alpha=5.0))
    for phase in (1, 2):
        p = done.predictions("validation", phase)
        best = done.best_epoch(phase if done.manifest["selected_phase"] == 2 else 1)
        assert log_loss(p.labels, p.probabilities, labels=range(4)) == pytest.approx(
            best.val_loss, rel=1e-3
        )


def test_an_epoch_step_by_step_is_one_of_fit_and_evaluate(tiny, phantom_data, tmp_path):
    """Same order, class weights and dropout; the last batch is smaller than the others."""
    config, ends = tiny.replace(batch_size=24), []
    for by_fit in (False, True):
        model = m.build_model(config, len(phantom_data.class_names))
        m.unfreeze_top(model, 0)
        bank = FeatureBank(config, phantom_data, model)
        phase = Phase(phases(config)[0], bank, tmp_path)
        rng = np.random.default_rng(3)
        seed_dropout(model, rng)
        train = phase._batches("train", rng.permutation(len(bank.split.train)), 0)
        assert len(train.order) % train.batch_size and len(train) > 2
        if by_fit:
            history = phase.stage.fit(
                train, class_weight=phase.objective.class_weight, shuffle=False, verbose=0
            ).history
            means = {name: values[-1] for name, values in history.items()}
            plain = phase._batches("validation", np.arange(len(bank.split.validation)))
            checked = phase.stage.evaluate(plain, verbose=0, return_dict=True)
            checked = {f"val_{name}": value for name, value in checked.items()}
        else:
            means, checked = phase._fit(train), phase._validate()
        ends.append((means, checked, phase.stage.get_weights()))
    (means, checked, weights), (expected, expected_checked, expected_weights) = ends
    assert means == pytest.approx(expected, rel=1e-5) and checked == pytest.approx(
        expected_checked, rel=1e-5
    )
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_class_weights_weigh_the_training_loss(tiny, phantom_data, tmp_path):
    """With almost no learning rate the first epoch's loss is the weighted mean cross-entropy."""
    config = tiny.replace(
        variant="baseline", augment=False, phase1_epochs=1, phase1_learning_rate=1e-12
    )
    _, _, model = run_phase(config, phantom_data, tmp_path / "weighted", 1)
    row = pd.read_csv(tmp_path / "weighted" / "history.csv").iloc[0]
    train = data.split_of(phantom_data, config).train
    labels = phantom_data.labels[train]
    # Dropout is on in `fit`; the comparison allows for it, the weights' effect is larger
    p = model.predict(data.batch(phantom_data, train, config), verbose=0)
    nll = -np.log(p[np.arange(len(train)), labels])
    weighted = (data.class_weights(labels, 4)[labels] * nll).mean()
    assert abs(row.loss - weighted) < 0.5 * abs(nll.mean() - weighted) + 0.05


# ---------------------------------------------------------------- kept, resumed, retrained


def test_a_kept_run_is_not_trained_again(tiny, monkeypatch):
    runs.run(tiny)
    monkeypatch.setattr(runs_module, "_train", lambda *a: pytest.fail("trained again"))
    runs.run(tiny.replace(bins=3, resamples=50))  # nor for a setting that training never sees


def test_an_epoch_without_a_loss_is_told_and_never_kept(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    losses = iter([np.nan, 0.9])

    def said(self):
        return {"val_loss": next(losses), "val_accuracy": 0.5}

    monkeypatch.setattr(Phase, "_validate", said)
    run = runs.run(tiny.replace(phase1_epochs=2, phase2_epochs=0))
    assert run.manifest["best"]["1"]["epoch"] == run.best_epoch(1).epoch == 2
    assert "no number in 1 of 2 epochs" in caplog.text


@pytest.mark.thorough
def test_a_run_cut_off_at_any_epoch_ends_like_an_unbroken_one(
    tiny, phantom_data, tmp_path, monkeypatch
):
    config = tiny.replace(phase1_epochs=2, phase2_epochs=2)
    training.train(config, phantom_data, tmp_path / "unbroken")
    save = Phase._checkpoint

    for stop_after in (1, 3):  # in Phase 1, in Phase 2
        count = 0

        def dies(self, *args, stop_after=stop_after):
            nonlocal count
            save(self, *args)
            count += 1
            if count == stop_after:
                raise KeyboardInterrupt

        monkeypatch.setattr(Phase, "_checkpoint", dies)
        folder = tmp_path / f"cut-{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            training.train(config, phantom_data, folder)
        monkeypatch.setattr(Phase, "_checkpoint", save)
        training.train(config, phantom_data, folder)
        whole, broken = (
            pd.read_csv(tmp_path / n / "history.csv") for n in ("unbroken", folder.name)
        )
        assert (whole[["phase", "epoch"]] == broken[["phase", "epoch"]]).all(axis=None)
        np.testing.assert_allclose(whole.val_loss, broken.val_loss, rtol=1e-3)
        a, b = (pd.read_csv(tmp_path / n / "predictions.csv.gz") for n in ("unbroken", folder.name))
        np.testing.assert_allclose(a.filter(like="logit_"), b.filter(like="logit_"), atol=2e-2)


@pytest.mark.thorough
def test_runs_that_share_a_backbone_or_their_calls_are_what_they_are_alone(
    tiny, tmp_path, monkeypatch
):
    """Grid points share a frozen backbone, if it is the same; many short steps share a call."""
    one = tiny.replace(phase2_epochs=0, phase1_epochs=1, batch_size=5)
    configs = [one, one.replace(backbone="random"), one.replace(tau=0.15)]
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "alone"))
    alone = [runs.run(config) for config in configs]
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "together"))
    asked = []
    monkeypatch.setattr(phase_module, "steps_per_execution", lambda n: asked.append(n) or 16)
    together = runs.run_all(configs)
    assert m.frozen_backbone(configs[0]) is m.frozen_backbone(configs[2].replace(seed=1))
    assert asked == 3 * [25]
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a.history.val_loss, b.history.val_loss, rtol=1e-5)
        np.testing.assert_allclose(
            a.predictions().logits, b.predictions().logits, rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(
    "name, how",
    [(None, None), *[("best.json", how) for how in ("cut", "empty", "a folder")]]
    + [(n, "cut") for n in ("model.weights.h5", "predictions.csv.gz", "history.csv")]
    + [("model.weights.h5", "deleted")],
)
def test_a_run_cut_off_while_it_was_tidied_up_is_sealed_only_if_it_is_whole(
    tiny, tmp_path, monkeypatch, caplog, name, how
):
    whole, again = runs.run(tiny).folder, []
    aside = tmp_path / f"{whole.name}.partial"

    def train_again(config, dataset, model, folder):
        again.append(sorted(f.name for f in folder.iterdir()))
        shutil.copytree(whole, folder, dirs_exist_ok=True)

    shutil.copytree(whole, aside)
    (aside / "manifest.json").unlink()
    if name:
        harm(aside / name, how)
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    monkeypatch.setattr(training, "_train_phases", train_again)
    done = runs.run(tiny)
    assert again == ([["config.json"]] if name else [])  # from the start
    assert not name or f"{name} " in caplog.text and "trained from the start" in caplog.text
    assert done.predictions().labels.tolist() == runs.run(tiny).predictions().labels.tolist()


@pytest.mark.parametrize("how", ["cut", "flip", "empty", "deleted", "a folder"])
def test_a_damaged_checkpoint_is_named_and_changes_nothing(tmp_path, how):
    file, variable = tmp_path / "last_1.npz", keras.Variable(np.arange(9, dtype="float32"))
    save_variables(file, [variable], {"epoch": 1})
    assert load_variables(file, [variable]) == {"epoch": 1}
    variable.assign(np.zeros(9))
    harm(file, how)
    with pytest.raises(Damaged, match="last_1.npz is (damaged|missing)"):
        load_variables(file, [variable])
    assert not ops.convert_to_numpy(variable).any()


def test_the_tables_of_a_phase_that_is_resumed_at_its_end_are_written_anew(
    tiny, phantom_data, tmp_path
):
    config = tiny.replace(phase1_epochs=1)
    for _ in range(2):
        run_phase(config, phantom_data, tmp_path, 1)
        assert len(pd.read_csv(tmp_path / "history.csv")) == 1
        (tmp_path / "history.csv").write_text("phase,epo")


def test_early_stopping_waits_for_its_patience(tiny):
    short = {"phase1_epochs": 6, "phase2_epochs": 0, "patience": 1}
    done = runs.run(tiny.replace(**short, phase1_learning_rate=5.0))
    best = int(done.best_epoch(1).epoch)
    assert len(done.history) == min(best + 1, 6)


def test_the_digest_covers_settings_data_weights_and_sources(
    tiny, phantom_data, monkeypatch, tmp_path
):
    base = runs.run_digest(tiny, phantom_data)
    assert runs.run_digest(tiny.replace(bins=3), phantom_data) == base
    assert runs.run_digest(tiny.replace(tau=0.3), phantom_data) != base
    assert runs.run_digest(tiny.replace(backbone="random"), phantom_data) != base
    other = PhantomDataset(160, 1, 48)
    assert runs.run_digest(tiny, other) != base
    random = tiny.replace(backbone="random")  # another seed's are others
    assert m.weights_digest(random) != m.weights_digest(random.replace(seed=1))
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")  # in which features and runs are others
    try:
        assert runs.run_digest(tiny, phantom_data) != base
    finally:
        keras.config.set_dtype_policy(kept)


def test_an_edit_of_any_file_that_trains_changes_the_digest(tiny, phantom_data, monkeypatch):
    home, read = Path(runs_module.__file__).parents[1], Path.read_bytes
    trains = [*(home / "training").glob("*.py"), *(home / "data").glob("*.py")]
    trains += [home / "method" / "layers.py", home / "method" / "model.py"]
    trains += [home / "method" / "variants.py", home / "method" / "losses.py"]
    base = runs.run_digest(tiny, phantom_data)
    for edited in trains:
        monkeypatch.setattr(Path, "read_bytes", lambda f, e=edited: read(f) + b"#" * (f == e))
        assert runs.run_digest(tiny, phantom_data) != base, edited


def test_a_record_holds_no_weights_and_reads_back(tiny, tmp_path):
    done = runs.run(tiny)
    folder = runs.record(done, tmp_path / "record")
    assert {f.suffix for f in folder.iterdir()} == {".json", ".csv", ".gz"}
    again = runs.load_run(folder)
    assert again.config.tau == tiny.tau and again.class_names == done.class_names
    np.testing.assert_array_equal(again.predictions().logits, done.predictions().logits)
    pd.testing.assert_frame_equal(again.scales, done.scales)
    assert not (store() / "nothing").exists()


def test_the_grid_is_every_pair_and_sorted_by_validation_loss(tiny):
    table = runs.tune(tiny.replace(grid_alpha=[0.08, 0.2], grid_tau=[0.15, 0.3]))
    pairs = [(0.08, 0.15), (0.08, 0.3), (0.2, 0.15), (0.2, 0.3)]
    assert sorted(zip(table.alpha, table.tau, strict=True)) == pairs
    assert table.val_loss.is_monotonic_increasing
    assert table.columns.tolist() == ["alpha", "tau", "val_accuracy", "val_loss", "epoch", "epochs"]


@pytest.mark.thorough
@pytest.mark.slow
def test_the_shipped_backbone_beats_random_weights(phantom_data):
    """Phase 1 on 1,200 phantoms, same head and seeds, from the shipped weights or random ones."""
    from acrlls.config import configure

    config = configure("quick", phantom_images=1200, phase1_epochs=6, phase2_epochs=0, views=1)
    loss = {
        b: runs.run(config.replace(backbone=b)).best_epoch(1).val_loss
        for b in ("phantom", "random")
    }
    assert loss["phantom"] < loss["random"] - 0.05


@pytest.mark.real
def test_the_real_sample_trains_with_the_given_imagenet_weights(real_folder, monkeypatch):
    from acrlls.config import configure

    weights = next((real_folder.parent / "weights").glob("mobilenet_v2*no_top*.h5"), None)
    if weights is None:
        pytest.skip("no ImageNet weights beside the data")
    given = {"data": str(real_folder / "kaggle-sample"), "backbone": str(weights), "views": 1}
    done = runs.run(configure("laptop", **given, phase1_epochs=8, phase2_epochs=0))
    assert done.history.loss.iloc[-1] < done.history.loss.iloc[0]
    assert (done.predictions().classes == done.predictions().labels).mean() > 0.25


def test_softmax_is_left_to_the_loss_but_not_to_the_user(tiny):
    model = runs.run(tiny).model()
    p = model.predict_on_batch(np.zeros((2, 48, 48, 3), "float32"))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert isinstance(model.layers[-1], keras.layers.Softmax)
