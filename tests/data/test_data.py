"""The published split and weights, and augmentation as one map."""

import numpy as np
import pytest
from scipy import ndimage

from acrlls import data
from acrlls.config import UserError
from acrlls.data.split import split

PUBLISHED_COUNTS = (3616, 6012, 10192, 1345)  # Section III-A
GREY = np.linspace(0, 255, 40 * 40).reshape(40, 40).astype("uint8")


# ---------------------------------------------------------------- split and weights (Section III-A)


def test_the_class_weights_are_the_published_ones():
    labels = np.repeat(np.arange(4), data.split_counts(PUBLISHED_COUNTS)[0])
    assert np.round(data.class_weights(labels), 2).tolist() == [1.46, 0.88, 0.52, 3.94]


def test_class_weights_average_to_one_over_the_samples():
    labels = np.repeat(np.arange(3), [5, 20, 75])
    assert data.class_weights(labels)[labels].mean() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_split_never_leaks(seed):
    labels = np.random.default_rng(seed).choice(4, 500, p=[0.2, 0.3, 0.4, 0.1])
    s = split(labels, seed=seed)
    together = np.concatenate([s.train, s.validation, s.test])
    assert sorted(together) == list(range(500))  # every image, and none twice
    for part, expected in zip(
        (s.train, s.validation, s.test), data.split_counts(np.bincount(labels)), strict=True
    ):
        assert np.bincount(labels[part], minlength=4).tolist() == expected.tolist()


def test_the_split_follows_its_seed():
    labels = np.arange(400) % 4
    assert (split(labels, seed=1).test == split(labels, seed=1).test).all()
    assert (split(labels, seed=1).test != split(labels, seed=2).test).any()


def test_a_class_too_small_to_split_is_named():
    with pytest.raises(UserError, match="class 1 has 3 images"):
        split(np.array([0] * 50 + [1] * 3))


# ---------------------------------------------------------------- augmentation


def test_an_identity_map_changes_nothing():
    np.testing.assert_array_equal(data.render(GREY, 40), GREY)
    np.testing.assert_allclose(data.render(GREY, 40, np.eye(3)), GREY, atol=1e-3)


def test_a_flip_is_a_flip():
    only_flip = data.Augmentation(rotation=0, flip=1, shift=0, shear=0, zoom=0)
    matrix = only_flip.matrix(np.random.default_rng(0))
    np.testing.assert_allclose(data.render(GREY, 40, matrix), GREY[:, ::-1], atol=1e-3)


def test_a_shift_moves_by_its_share_of_the_side():
    matrix = np.eye(3)
    matrix[1, 2] = 0.1  # output column c shows input column c + 4 of 40
    np.testing.assert_allclose(
        data.render(GREY, 40, matrix)[:, :36], GREY[:, 4:].astype("float32"), atol=1e-3
    )


def test_a_rotation_agrees_with_scipy():
    only_rotation = data.Augmentation(rotation=15, flip=0, shift=0, shear=0, zoom=0)
    rng = np.random.default_rng(3)
    angle = np.random.default_rng(3).uniform(-15, 15)
    ours = data.render(GREY, 40, only_rotation.matrix(rng))
    turned = [
        ndimage.rotate(GREY.astype("float32"), sign * angle, reshape=False, order=1, mode="nearest")
        for sign in (1, -1)
    ]
    assert min(np.abs(ours - oracle).max() for oracle in turned) < 1e-2


def test_resizing_and_augmenting_is_one_resampling():
    """Enlarging by two and rotating in one map keeps what two resamplings would blur."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64)).astype("uint8")
    matrix = data.Augmentation(flip=0).matrix(np.random.default_rng(1))
    once = data.render(image, 128, matrix)
    twice = data.render(data.render(image, 128).astype("uint8"), 128, matrix)
    assert once.std() > twice.std()


def test_draws_stay_in_the_published_ranges():
    a = data.Augmentation()
    matrices = np.stack([a.matrix(np.random.default_rng(i)) for i in range(2000)])
    assert np.abs(matrices[:, :2, 2]).max() <= 0.10
    areas = np.abs(np.linalg.det(matrices[:, :2, :2]))
    assert areas.min() >= 0.85**2 and areas.max() <= 1.15**2
    assert 0.45 < (np.linalg.det(matrices[:, :2, :2]) < 0).mean() < 0.55  # half are flipped


def test_a_large_image_is_reduced_without_aliasing():
    stripes = np.tile(np.array([0, 255], "uint8"), (400, 200))
    assert data.render(stripes, 40).std() < 1  # a grey, not stripes


def test_a_view_is_a_function_of_its_seed_image_and_number(phantom_data, tiny):
    one = data.batch(phantom_data, [3, 5], tiny, view=2)
    np.testing.assert_array_equal(one[1:], data.batch(phantom_data, [5], tiny, view=2))
    assert np.abs(one - data.batch(phantom_data, [3, 5], tiny, view=3)).max() > 0.01
    np.testing.assert_array_equal(
        data.batch(phantom_data, [3], tiny.replace(augment=False), view=2),
        data.batch(phantom_data, [3], tiny),
    )


def test_inputs_have_three_equal_channels_in_the_asked_range(phantom_data, tiny):
    unit = data.batch(phantom_data, range(8), tiny)
    assert unit.shape == (8, tiny.image_size, tiny.image_size, 3) and unit.dtype == np.float32
    assert unit.min() >= 0 and unit.max() <= 1 and (unit[..., 0] == unit[..., 2]).all()
    signed = data.batch(phantom_data, range(8), tiny.replace(input_range="-1..1"))
    np.testing.assert_allclose(signed, unit * 2 - 1, atol=1e-6)
