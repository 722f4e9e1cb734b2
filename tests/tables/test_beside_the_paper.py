"""Published, real, difference, this build: the columns, their statistics, and other classes."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import fake_run, random_case
from PIL import Image
from scipy.special import softmax
from scipy.stats import t
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

import acrlls
from acrlls import calibration
from acrlls.paper import CLASSES, table
from acrlls.tables import beside, classification, recorded, scales, training, tuning, words


@pytest.fixture(scope="module")
def case():
    return random_case()


def fake(classes, logits=None, labels=None, seed=0):
    """A run of both phases on some classes."""
    p, y = random_case(60, len(classes)) if logits is None else (np.exp(logits), labels)
    return fake_run(np.log(p), y, classes, data="folder", seed=seed)


def test_scores_by_class_are_scikit_learns(case):
    p, y = case
    ones = np.ones(len(y))
    each = beside.table_3(p, y, ones)
    theirs = precision_recall_fscore_support(y, p.argmax(axis=1), zero_division=0)
    np.testing.assert_allclose(each[:12].reshape(4, 3), np.transpose(theirs[:3]))
    assert each[12] == pytest.approx(accuracy_score(y, p.argmax(axis=1)))
    assert each[13] == pytest.approx(f1_score(y, p.argmax(axis=1), average="macro"))
    auc, brier, ece = beside.one_against_rest(p, y, ones).reshape(4, 3).T
    for k in range(4):
        assert auc[k] == pytest.approx(roc_auc_score(y == k, p[:, k]))
        assert brier[k] == pytest.approx(brier_score_loss(y == k, p[:, k]))
    np.testing.assert_allclose(ece, calibration.classwise_ece(p, y))


def test_weighted_scores_are_those_of_repeated_images(case):
    p, y = case
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    twice = np.repeat(np.arange(len(y)), weights)
    expected = beside.table_3(p[twice], y[twice], np.ones(len(twice)))
    np.testing.assert_allclose(beside.table_3(p, y, weights), expected)


def test_an_interval_over_runs_and_images_holds_the_estimate_and_widens_with_the_spread_of_runs():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 400)

    def run(right, seed):
        said = np.where(rng.random(400) < right, y, (y + 1) % 4)
        return fake(CLASSES, np.log(np.where(np.eye(4)[said], 0.7, 0.1)), y, seed)

    widths = []
    for levels in ((0.8, 0.8), (0.6, 0.95)):
        runs = [run(x, seed) for seed, x in enumerate(levels)]
        real, low, high = beside.estimate(beside.scores, runs, (None,), 200)
        assert (low < real).all() and (real < high).all()
        widths.append((high - low)[0])
    assert widths[1] > 2 * widths[0]


def test_the_columns_hold_the_real_runs_and_their_difference_from_the_published_number():
    real = recorded.setting().of("proposed")
    found = classification.table_3(real, real[0], 50)
    assert list(found.columns) == ["published", "real images", "difference", "this run"]
    row = found.loc[("COVID", "Recall")]
    gap = f"{row['real images'] - row.published:+.3f}".replace("-", "−")
    assert row.difference.startswith(gap) and " to " in row.difference
    theirs, (low, high) = row.published, re.findall(r"[+−]?\d\.\d+", row.difference)[1:]
    assert float(low.replace("−", "-")) >= -theirs - 1e-3 and float(high) <= 1 - theirs + 1e-3
    alone = classification.table_3(real[:1], real[0], 50).difference
    assert re.fullmatch(r"[+−]?0\.\d{3}", alone["COVID", "Recall"])  # one seed tells no interval
    each = classification.by_class(real, real[0], 50)
    text = classification.finding(found, each, real, "Proposed")
    low, high = each[beside.REAL].xs("ECE", level=1).agg(["min", "max"]).map(words.error)
    assert f"ECEs of the classes are {low} to {high}; the paper reports 0.0016 to 0.0083." in text
    assert f"{100 * found['real images']['All', 'Accuracy']:.1f} %" in text and "94.7 %" in text
    gap = found["real images"]["All", "Accuracy"] - found.published["All", "Accuracy"]
    assert f"in points is {100 * gap:+.1f} (".replace("-", "−") in text
    assert beside.caption("T", real) == (
        f"T; real images: {len(real)} runs, weighted to the paper's class mix; {beside.DIFFERENCE}"
    )
    assert beside.caption("T", []) == "T"
    assert "images: 1 to 3 runs a network, " in beside.caption("T", [1] * 3, [1], [], [1] * 2)
    assert "images: 2 runs a network, " in beside.caption("T", [1] * 2, [1] * 2)
    two = scales.table_2(real[0], real).loc[("COVID", "Phase 2")]
    scale = {run: run.best_scales(2)["COVID"] for run in real}
    theirs, mean = table("II").loc["COVID", "Phase 2"], np.mean(list(scale.values()))
    assert (two["published"], two["real images"]) == (theirs, pytest.approx(mean))
    low, high = (
        float(x.replace("−", "-")) for x in re.findall(r"[+−]?\d\.\d+", two.difference)[1:]
    )
    assert (low + high) / 2 == pytest.approx(mean - theirs, abs=1e-3)
    # Student's prediction interval, where each seed has one run
    once = [run for run in real if run.config.seed > 0]
    alone = scales.table_2(real[0], once).difference["COVID", "Phase 2"]
    low, high = (float(x.replace("−", "-")) for x in re.findall(r"[+−]?\d\.\d+", alone)[1:])
    each = [scale[run] for run in once]
    reach = t.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) * np.sqrt(1 + 1 / len(each))
    assert (high - low) / 2 == pytest.approx(reach, abs=1e-3)


@pytest.mark.parametrize(("classes", "same"), [(["Normal", "Ill"], False), (CLASSES, True)])
def test_nothing_published_stands_beside_other_classes(tmp_path, classes, same):
    for name in classes:
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / name / f"{name}.png")
    config = acrlls.configure("quick", data=str(tmp_path))
    assert bool(recorded.like(config)) == same == (beside.alone(config) is None)
    run = fake(classes)
    for of in (training.accuracies, classification.by_class, classification.table_3):
        found = of([], run, 20)
        assert ("published" in found) == same and "this run" in found
    each = classification.by_class([], run, 20)
    assert "rightly, with one seed." in classification.finding(found, each, [], "Proposed")
    rows = [{"phase": p, "epoch": e, **dict.fromkeys(classes, 1.0)} for p in (1, 2) for e in (1, 2)]
    vars(run).update(scales=pd.DataFrame(rows), history=pd.DataFrame(rows).assign(val_loss=1.0))
    assert ("published" in scales.table_2(run, [])) == same


def test_the_grid_of_other_images_shows_its_own_best_pairs():
    grid = table("I")[["alpha", "tau", "val_accuracy", "val_loss"]].iloc[::-1]
    shown = tuning.table_1({"real images": None, "this run": grid}, published=False).data
    assert list(shown.columns.unique(0)) == ["this run"] and len(shown) == 5
    assert shown["this run", "rank"].tolist() == [1, 2, 3, 4, 5]


def test_scores_of_one_class_against_the_rest_count_each_image_by_its_weight():
    rng = np.random.default_rng(3)
    p = np.round(rng.dirichlet(np.ones(3), 300), 2)  # some scores are equal
    y, weights = rng.integers(0, 3, 300), rng.random(300)
    found = beside.one_against_rest(p, y, weights).reshape(3, 3)
    for k, (auc, brier, _) in enumerate(found):
        about = y == k, p[:, k]
        assert auc == pytest.approx(roc_auc_score(*about, sample_weight=weights))
        assert brier == pytest.approx(np.average((p[:, k] - (y == k)) ** 2, weights=weights))


@pytest.mark.parametrize("factor, much", [(2.0, "more"), (0.5, "less")])
def test_the_class_that_is_expected_too_often_or_too_rarely_is_named(case, factor, much):
    p, y = case
    share = np.bincount(y, minlength=4) / len(y)
    given = share * np.where(np.arange(4) == 1, factor, 1)
    runs = [fake(CLASSES, np.log(np.tile(given / given.sum(), (len(y), 1))), y)] * 2
    text = classification.on_average(runs, "Baseline")
    assert f"Baseline expects {CLASSES[1]} {much} often" in text and "(2 runs)" in text
    mean = given / given.sum()
    assert all(
        f"{c} {m:.3f} ({s:.3f})" in text for c, m, s in zip(CLASSES, mean, share, strict=True)
    )
    assert f"images {share[1]:.3f}. By" in text and text.index(f"images: {CLASSES[1]}") > 0


def test_a_narrow_interval_is_written_with_the_decimals_that_tell_it_from_zero():
    assert words.signed(0.0004, -0.0017, 0.0003) == "+0.0004 (−0.0017 to +0.0003)"
    assert words.signed(0.0149, -0.0004, 0.0321) == "+0.015 (0.000 to +0.032)"


def test_where_all_classes_weigh_the_same_the_floor_is_that_of_the_probabilities(monkeypatch):
    p, y = random_case(400)
    monkeypatch.setattr(beside, "mix_weights", lambda run, mix: np.ones(400))
    (errors,), (limits,) = beside.errors_and_floors([fake_run(np.log(p), y)], bins=10)
    own = calibration.classwise_ece(p, y, 10)
    np.testing.assert_allclose(errors, [*own, own.mean()])
    draws = calibration.noise_floor(p, bins=10).classwise
    both = np.column_stack([draws, draws.mean(axis=1)])
    np.testing.assert_allclose(limits, np.quantile(both, 0.95, axis=0), rtol=0.06)
    (_,), (own,) = beside.errors_and_floors([fake_run(np.log(p), y)], bins=10, mix="own")
    np.testing.assert_allclose(own, np.quantile(both, 0.95, axis=0))


def test_a_network_that_is_right_in_the_papers_mix_lies_above_its_floor_in_one_test_set_of_20():
    """Images as the paper's, of which most of one class are left out."""
    rng, shares = np.random.default_rng(5), table("III").loc[list(CLASSES), "Support"].to_numpy()
    y, above = np.repeat(range(4), [500, 150, 1400, 190]), []
    for _ in range(40):
        z = 1.2 * np.eye(4)[y] + rng.normal(size=(len(y), 4))  # two normals differ by 1.2 z
        run = fake_run(1.2 * z + np.log(shares), y)
        (errors,), (limits,) = beside.errors_and_floors([run], resamples=200)
        above.append(errors > limits)
    assert (np.mean(above, axis=0) < 0.12).all() and np.mean(above) > 0.02
    plain = calibration.noise_floor(softmax(run.predictions().logits, axis=1), resamples=200)
    assert limits[1] > np.quantile(plain.classwise, 0.95, axis=0)[1]  # few images, so more noise
