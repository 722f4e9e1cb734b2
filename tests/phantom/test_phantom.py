"""The phantom: pictures that look like a chest, labels that follow the book's formula, no leaks."""

import hashlib
import importlib
import re

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from acrlls import phantom
from acrlls.config import PROJECT, UserError
from acrlls.phantom import patients
from acrlls.phantom import phantom as room

PAPER_SHARES = np.array([3616, 6012, 10192, 1345]) / 21165


def digest(*arrays):
    h = hashlib.blake2b(digest_size=10)
    for array in arrays:
        h.update(np.ascontiguousarray(array).tobytes())
    return h.hexdigest()


@pytest.fixture(scope="module")
def drawn():
    return phantom.draw(240, seed=11, size=64)


@pytest.fixture
def source_task(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "results"))
    # threads: worker processes that an earlier test has started do not know the path
    with joblib.parallel_config("threading"):
        yield importlib.import_module("source_task").source_task


@pytest.fixture(scope="module")
def many():
    """Labels, eta and quantities of 20,000 patients."""
    labels, eta, quantities = zip(*(room.patient(5, i) for i in range(20_000)), strict=True)
    return np.array(labels), np.array(eta), pd.DataFrame(map(vars, quantities))


def by_hand(severity=None, seed=0, size=96, **changes):
    """A picture without grain of a plain patient; the random detail is that of ``seed``."""
    q = patients.sample_quantities(np.random.default_rng(seed))
    plain = dict.fromkeys(("ground_glass", "consolidation", "interstitial", "grain", "marker"), 0.0)
    vars(q).update({**plain, **(severity or {}), **changes})
    return q, *room.picture(q, np.random.default_rng(seed + 1000), size)


# A picture is a function of (seed, index) and the size


@pytest.mark.parametrize(
    ("seed", "size", "first", "images", "everything", "source"),
    [
        (0, 96, 0, "09f30b0bd7c0b221e03b", "c60a78142e78bb058027", "9d967d6f7c1c6288e327"),
        (1, 64, 500, "3b27f038af2b37108c9b", "2bca6a59a567617f0e23", None),
        (3, 33, 7, "ec94bf2a6751d743cead", "25812a021d61ea753803", None),
        (2, 224, 11, "e4779315b7f8c3f52d42", "bd69555c5331a31f6691", None),
    ],
)
def test_pictures_are_to_the_byte_those_of_the_shipped_backbone(
    seed, size, first, images, everything, source, source_task
):
    """The shipped backbone was trained on the source task as it is drawn here."""
    p = phantom.draw(24, seed=seed, size=size, first=first)
    assert digest(p.images) == images
    rest = (p.labels.astype("int64"), p.eta, p.lungs, p.findings, p.quantities.to_numpy())
    assert digest(p.images, *rest) == everything
    if source:
        pictures, labels, _ = source_task(24, seed=seed, size=size)
        assert digest(pictures, labels.astype("int64")) == source


def test_a_picture_does_not_depend_on_how_many_are_drawn_or_by_whom(drawn):
    alone = phantom.draw(60, seed=11, size=64, first=100)  # in this process; 240 take several
    for part, whole in zip(alone, drawn, strict=True):
        assert np.array_equal(np.asarray(part), np.asarray(whole)[100:160])


def test_size_changes_the_sampling_of_a_picture_not_its_content():
    small, large = (by_hand({"consolidation": 0.8}, 7, size, blur=0.0) for size in (64, 192))
    averaged = large[1].reshape(64, 3, 64, 3).mean((1, 3))
    assert np.abs(averaged - small[1]).mean() < 3
    assert abs(small[2].mean() - large[2].mean()) < 0.01


# What comes back


def test_every_picture_uses_the_grey_scale_and_shows_two_dark_lungs(drawn):
    low, high = np.quantile(drawn.images.reshape(240, -1), (0.05, 0.95), axis=1)
    assert (high - low).min() > 60
    halves = np.split(drawn.lungs.mean(1), 2, axis=1)
    assert min(half.mean(1).min() for half in halves) > 0.06
    assert drawn.lungs.mean((1, 2)).max() < 0.55
    trunk = np.zeros((64, 64), bool)
    trunk[:, 29:35] = True
    for image, lungs in zip(drawn.images, drawn.lungs, strict=True):
        assert image[lungs].mean() < image[trunk & ~lungs].mean()


def test_findings_are_marked_inside_the_lungs_and_only_where_there_are_any(drawn):
    assert not (drawn.findings & ~drawn.lungs).any()
    marked = drawn.findings.mean((1, 2))
    worst = drawn.quantities.iloc[:, :3].max(axis=1).to_numpy()
    assert marked[worst < 0.08].max() == 0
    assert (marked[worst > 0.8] > 0).all()


# What the findings look like


def change(severity, seed):
    """Brightening of a picture by a finding, the lungs, and the mask of the finding."""
    _, without, lungs, _ = by_hand(seed=seed)
    q, image, _, findings = by_hand(severity, seed=seed)
    return q, image.astype(float) - without, lungs, findings


def sides(difference):
    return difference[:, :48].sum(), difference[:, 48:].sum()


@pytest.mark.parametrize("name", ["ground_glass", "consolidation", "interstitial"])
def test_a_finding_brightens_the_lungs_and_more_so_where_it_is_more_severe(name):
    for seed in range(3):
        _, difference, lungs, findings = change({name: 0.9}, seed)
        assert difference[lungs].mean() > 1.5
        # The rest is the lung behind heart and diaphragm, and scattered radiation.
        assert np.abs(difference[lungs]).sum() > 0.6 * np.abs(difference).sum()
        assert difference[findings].mean() > 2 * difference[lungs & ~findings].mean()
        seen = [change({name: level}, seed)[1].sum() for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert (np.diff(seen) > 0).all()


def test_ground_glass_is_bilateral_and_low_consolidation_one_sided_interstitial_diffuse():
    heights = np.zeros(2)
    for seed in range(6):
        difference = change({"ground_glass": 0.9}, seed)[1]
        assert min(sides(difference)) > 0.2 * max(sides(difference))
        heights += difference[:48].sum(), difference[48:].sum()
        q, difference, _, _ = change({"consolidation": 0.9}, seed)
        right, left = sides(difference)
        assert (left > 3 * right) if q.focus_side > 0 else (right > 3 * left)
        streaks = sides(change({"interstitial": 0.9}, seed)[1])
        assert min(streaks) > 0.45 * max(streaks)
    assert heights[1] > 1.3 * heights[0]


# The known truth


def test_eta_is_the_softmax_of_the_formula_that_the_book_shows(many):
    _, eta, quantities = many
    symbols = {symbol: name for name, symbol in patients.TERMS.items()}
    lines = re.findall(r"z_\{\\text\{(.+?)\}\} &= (.+?) \\\\", phantom.FORMULA)
    assert tuple(name for name, _ in lines) == phantom.CLASSES
    powers = np.zeros((len(quantities), 4))
    for k, (_, right) in enumerate(lines):
        for value, symbol in re.findall(r"([+-]?[\d.]+)(?:\\,([a-z]))?", right):
            powers[:, k] += float(value) * (quantities[symbols[symbol]] if symbol else 1)
    expected = np.exp(powers) / np.exp(powers).sum(1, keepdims=True)
    np.testing.assert_allclose(eta, expected, rtol=1e-9)
    np.testing.assert_allclose(phantom.eta(quantities), expected, rtol=1e-9)


def test_classes_have_the_shares_of_the_paper(many):
    labels, eta, _ = many
    error = np.sqrt(PAPER_SHARES * (1 - PAPER_SHARES) / len(labels))
    assert (np.abs(np.bincount(labels, minlength=4) / len(labels) - PAPER_SHARES) < 4 * error).all()
    assert (np.abs(eta.mean(0) - PAPER_SHARES) < 4 * error).all()


def test_the_best_possible_accuracy_leaves_room_for_calibration(many):
    labels, eta, _ = many
    best = eta.argmax(1)
    assert 0.93 < eta.max(1).mean() < 0.95
    assert (best == labels).mean() == pytest.approx(eta.max(1).mean(), abs=0.006)
    mixed = np.array([[eta[best == a, b].sum() for b in range(4)] for a in range(4)])
    np.fill_diagonal(mixed, 0)
    hardest = np.unravel_index(mixed.argmax(), mixed.shape)
    assert {phantom.CLASSES[k] for k in hardest} == {"Lung Opacity", "Normal"}


@pytest.mark.parametrize("k", range(4), ids=phantom.CLASSES)
def test_labels_are_drawn_from_eta(many, k):
    labels, eta, _ = many
    p, hit = eta[:, k], labels == k
    bins = np.digitize(p, (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97))
    excess, variance = (np.bincount(bins, values) for values in (hit - p, p * (1 - p)))
    used = variance > 0
    assert chi2.sf((excess[used] ** 2 / variance[used]).sum(), used.sum()) > 0.001


def test_the_picture_does_not_see_the_label(monkeypatch):
    as_it_is = phantom.draw(30, seed=2, size=48)
    monkeypatch.setattr(room, "eta", lambda quantities: phantom.eta(quantities)[..., ::-1])
    turned = phantom.draw(30, seed=2, size=48)
    assert np.array_equal(as_it_is.images, turned.images)
    assert as_it_is.quantities.equals(turned.quantities)
    assert (as_it_is.labels != turned.labels).mean() > 0.5


def test_the_source_task_has_other_classes_each_of_which_occurs(source_task):
    images, labels, classes = source_task(120, seed=1, size=48)
    assert images.shape == (120, 48, 48) and images.dtype == np.uint8
    assert not set(classes) & set(phantom.CLASSES)
    assert set(labels) == set(range(len(classes)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 0), ("n", 2.5), ("n", True), ("seed", -1), ("size", 8), ("size", 2000), ("first", -1)],
)
def test_an_impossible_value_is_named(name, value):
    with pytest.raises(UserError, match=name):
        phantom.draw(**({"n": 2} | {name: value}))
