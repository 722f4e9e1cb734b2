"""The phantom: pictures that look like a chest, labels that follow the book's formula, nothing that leaks."""

import re
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import chi2

from acrlls.config import UserError
from acrlls.phantom import patients as phantom

PAPER_SHARES = np.array([3616, 6012, 10192, 1345]) / 21165


@pytest.fixture(scope="module")
def drawn():
    return phantom.draw(240, seed=11, size=64)


@pytest.fixture(scope="module")
def many():
    """Labels, eta and quantities of 20,000 patients."""
    return phantom.patients(20_000, seed=5)


def by_hand(severity=None, seed=0, size=96, **changes):
    """A picture without grain of a plain patient; the random detail is that of ``seed``."""
    q = phantom.sample_quantities(np.random.default_rng(seed))
    plain = {
        "ground_glass": 0.0,
        "consolidation": 0.0,
        "interstitial": 0.0,
        "grain": 0.0,
        "marker": 0.0,
    }
    for name, value in {**plain, **(severity or {}), **changes}.items():
        setattr(q, name, value)
    return q, *phantom.picture(q, np.random.default_rng(seed + 1000), size)


# --- a picture is a function of (seed, index) ---


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a[:5], b[:5])) and a.quantities.equals(
        b.quantities
    )


def test_the_same_seed_draws_the_same_phantom_and_another_seed_another():
    a, b, c = (phantom.draw(12, seed=s, size=48, workers=1) for s in (3, 3, 4))
    assert same(a, b)
    assert not np.array_equal(a.images, c.images)


def test_a_picture_does_not_depend_on_how_many_are_drawn_or_by_whom(drawn):
    alone = phantom.draw(60, seed=11, size=64, first=100, workers=1)
    assert np.array_equal(alone.images, drawn.images[100:160])
    assert np.array_equal(alone.labels, drawn.labels[100:160])
    assert np.array_equal(alone.eta, drawn.eta[100:160])
    assert np.array_equal(alone.lungs, drawn.lungs[100:160])
    assert np.array_equal(alone.findings, drawn.findings[100:160])
    assert np.array_equal(alone.quantities.to_numpy(), drawn.quantities.to_numpy()[100:160])
    assert same(phantom.draw(240, seed=11, size=64, workers=3), drawn)


def test_patients_are_those_of_the_pictures(drawn):
    labels, eta, quantities = phantom.patients(240, seed=11)
    assert np.array_equal(labels, drawn.labels)
    assert np.array_equal(eta, drawn.eta)
    assert quantities.equals(drawn.quantities)


def test_size_changes_the_sampling_of_a_picture_not_its_content():
    small, large = (
        by_hand({"consolidation": 0.8}, seed=7, size=size, blur=0.0) for size in (64, 192)
    )
    averaged = large[1].reshape(64, 3, 64, 3).mean((1, 3))
    assert np.abs(averaged - small[1]).mean() < 3
    assert abs(small[2].mean() - large[2].mean()) < 0.01


# --- what comes back ---


def test_shapes_types_and_columns(drawn):
    assert drawn.images.shape == drawn.lungs.shape == drawn.findings.shape == (240, 64, 64)
    assert drawn.images.dtype == np.uint8
    assert drawn.lungs.dtype == drawn.findings.dtype == bool
    assert drawn.labels.shape == (240,) and drawn.labels.dtype.kind == "i"
    assert set(drawn.labels) == {0, 1, 2, 3}
    assert list(drawn.quantities.columns) == list(phantom.QUANTITIES)
    assert np.isfinite(drawn.quantities.to_numpy()).all()


def test_every_picture_uses_the_grey_scale_and_shows_two_dark_lungs(drawn):
    spread = np.quantile(drawn.images.reshape(240, -1), 0.95, axis=1) - np.quantile(
        drawn.images.reshape(240, -1), 0.05, axis=1
    )
    assert spread.min() > 60
    share = drawn.lungs.mean((1, 2))
    assert 0.10 < share.min() and share.max() < 0.55
    half = np.stack([drawn.lungs[:, :, :32].mean((1, 2)), drawn.lungs[:, :, 32:].mean((1, 2))])
    assert half.min() > 0.06
    trunk = np.zeros((64, 64), bool)
    trunk[:, 29:35] = True
    for image, lungs in zip(drawn.images, drawn.lungs):
        assert image[lungs].mean() < image[trunk & ~lungs].mean()


def test_findings_are_marked_inside_the_lungs_and_only_where_there_are_any(drawn):
    assert not (drawn.findings & ~drawn.lungs).any()
    marked = drawn.findings.mean((1, 2))
    worst = (
        drawn.quantities[["ground_glass", "consolidation", "interstitial"]].max(axis=1).to_numpy()
    )
    assert marked[worst < 0.08].max() == 0
    assert (marked[worst > 0.8] > 0).all()


# --- what the findings look like ---


def change(severity, seed):
    """Brightening of a picture by a finding, the lungs, and the mask of the finding."""
    _, without, lungs, _ = by_hand(seed=seed)
    q, image, _, findings = by_hand(severity, seed=seed)
    return q, image.astype(float) - without, lungs, findings


@pytest.mark.parametrize("name", ["ground_glass", "consolidation", "interstitial"])
def test_a_finding_brightens_the_lungs_and_little_else(name):
    for seed in range(6):
        _, difference, lungs, findings = change({name: 0.9}, seed)
        assert difference[lungs].mean() > 1.5
        # The rest is the lung behind heart and diaphragm, and scattered radiation.
        assert np.abs(difference[lungs]).sum() > 0.6 * np.abs(difference).sum()
        assert difference[findings].mean() > 2 * difference[lungs & ~findings].mean()


@pytest.mark.parametrize("name", ["ground_glass", "consolidation", "interstitial"])
def test_more_severe_is_more_visible(name):
    for seed in range(3):
        seen = [change({name: level}, seed)[1].sum() for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert (np.diff(seen) > 0).all()


def sides(difference):
    return difference[:, :48].sum(), difference[:, 48:].sum()


def test_ground_glass_is_bilateral_and_low_consolidation_one_sided_interstitial_diffuse():
    upper, lower = 0.0, 0.0
    for seed in range(8):
        difference = change({"ground_glass": 0.9}, seed)[1]
        right, left = sides(difference)
        assert min(right, left) > 0.2 * max(right, left)
        upper, lower = upper + difference[:48].sum(), lower + difference[48:].sum()

        q, difference, _, _ = change({"consolidation": 0.9}, seed)
        right, left = sides(difference)
        assert (left > 3 * right) if q.focus_side > 0 else (right > 3 * left)

        right, left = sides(change({"interstitial": 0.9}, seed)[1])
        assert min(right, left) > 0.45 * max(right, left)
    assert lower > 1.3 * upper


# --- the known truth ---


def published_formula():
    """Coefficients read back from the LaTeX that the book shows."""
    symbols = {symbol: name for name, symbol in phantom.TERMS.items()}
    found = {}
    for name, right in re.findall(r"z_\{\\text\{(.+?)\}\} &= (.+?) \\\\", phantom.FORMULA):
        terms = re.findall(r"([+-]?[\d.]+)(?:\\,([a-z]))?", right)
        found[name] = {symbols.get(symbol, "intercept"): float(value) for value, symbol in terms}
    return found


def test_eta_is_the_softmax_of_the_formula_that_the_book_shows(many):
    _, eta, quantities = many
    formula = published_formula()
    assert tuple(formula) == phantom.CLASSES
    powers = np.zeros((len(quantities), 4))
    for k, name in enumerate(phantom.CLASSES):
        for term, value in formula[name].items():
            powers[:, k] += value * (1 if term == "intercept" else quantities[term].to_numpy())
    expected = np.exp(powers) / np.exp(powers).sum(1, keepdims=True)
    np.testing.assert_allclose(eta, expected, rtol=1e-9)
    np.testing.assert_allclose(phantom.eta(quantities), expected, rtol=1e-9)


def test_probabilities_sum_to_one(many):
    eta = many[1]
    np.testing.assert_allclose(eta.sum(1), 1, rtol=1e-12)
    assert eta.min() > 0


def test_classes_have_the_shares_of_the_paper(many):
    labels, eta, _ = many
    error = np.sqrt(PAPER_SHARES * (1 - PAPER_SHARES) / len(labels))
    assert (np.abs(np.bincount(labels, minlength=4) / len(labels) - PAPER_SHARES) < 4 * error).all()
    assert (np.abs(eta.mean(0) - PAPER_SHARES) < 4 * error).all()


def test_the_best_possible_accuracy_leaves_room_for_calibration(many):
    labels, eta, _ = many
    assert 0.93 < eta.max(1).mean() < 0.95
    assert (eta.argmax(1) == labels).mean() == pytest.approx(eta.max(1).mean(), abs=0.006)
    best = eta.argmax(1)
    mixed = np.array([[eta[best == a, b].sum() for b in range(4)] for a in range(4)])
    np.fill_diagonal(mixed, 0)
    assert set(np.argwhere(mixed == mixed.max())[0]) == {
        1,
        2,
    }  # Lung Opacity and Normal are the hard pair


@pytest.mark.parametrize("k", range(4), ids=phantom.CLASSES)
def test_labels_are_drawn_from_eta(many, k):
    labels, eta, _ = many
    chance, hit = eta[:, k], labels == k
    bins = np.digitize(chance, (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97))
    statistic, used = 0.0, 0
    for b in np.unique(bins):
        here = bins == b
        statistic += (hit[here].sum() - chance[here].sum()) ** 2 / (
            chance[here] * (1 - chance[here])
        ).sum()
        used += 1
    assert chi2.sf(statistic, used) > 0.001


def test_the_picture_does_not_see_the_label(monkeypatch):
    as_it_is = phantom.draw(30, seed=2, size=48, workers=1)
    formula = phantom.eta
    monkeypatch.setattr(phantom, "eta", lambda quantities: formula(quantities)[..., ::-1])
    turned = phantom.draw(30, seed=2, size=48, workers=1)
    assert np.array_equal(as_it_is.images, turned.images)
    assert as_it_is.quantities.equals(turned.quantities)
    assert (as_it_is.labels != turned.labels).mean() > 0.5


# --- the source task ---


def test_the_source_task_is_another_task_drawn_with_the_same_pen():
    images, labels, classes = phantom.source_task(260, seed=1, size=48)
    assert images.shape == (260, 48, 48) and images.dtype == np.uint8
    assert classes == phantom.SOURCE_CLASSES and len(classes) >= 8
    assert not set(classes) & set(phantom.CLASSES)
    assert set(labels) == set(range(len(classes)))
    again, same_labels, _ = phantom.source_task(40, seed=1, size=48, first=200, workers=1)
    assert np.array_equal(again, images[200:240]) and np.array_equal(same_labels, labels[200:240])
    assert not np.array_equal(images[:20], phantom.draw(20, seed=1, size=48, workers=1).images)


# --- bad input ---


@pytest.mark.parametrize(
    "name, value",
    [("n", 0), ("n", 2.5), ("n", True), ("seed", -1), ("size", 8), ("size", 2000), ("first", -1)]
    + [("workers", 0)],
)
def test_an_impossible_value_is_named(name, value):
    with pytest.raises(UserError, match=name):
        phantom.draw(**{"n": 2, **{name: value}})


def test_the_phantom_needs_no_keras():
    code = "import sys, acrlls.phantom.patients; sys.exit(bool({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
