"""The published split and weights, augmentation as one map, and folders that are not right."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from acrlls import data
from acrlls.config import UserError, configure
from acrlls.data.dataset import KAGGLE
from acrlls.data.folder import FolderDataset, decode
from acrlls.data.split import split
from acrlls.paper import CLASSES

PUBLISHED_COUNTS = (3616, 6012, 10192, 1345)  # Section III-A
GREY = np.linspace(0, 255, 40 * 40).reshape(40, 40).astype("uint8")


# ---------------------------------------------------------------- split and weights (Section III-A)


def test_the_split_rule_gives_the_published_numbers():
    parts = data.split_counts(PUBLISHED_COUNTS)
    assert parts.sum(axis=1).tolist() == [14_814, 3_172, 3_179]
    assert parts[2].tolist() == [543, 903, 1530, 203]


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
    oracle = ndimage.rotate(GREY.astype("float32"), angle, reshape=False, order=1, mode="nearest")
    assert (
        min(
            np.abs(ours - oracle).max(),
            np.abs(
                ours
                - ndimage.rotate(
                    GREY.astype("float32"), -angle, reshape=False, order=1, mode="nearest"
                )
            ).max(),
        )
        < 1e-2
    )


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


# ---------------------------------------------------------------- folders


def make_folder(root, classes, per_class=10, inside="images"):
    for name in classes:
        (root / name / inside).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(GREY).save(root / name / inside / f"{name}-{i}.png")
    return root


@pytest.mark.parametrize("inside", ["images", "."])
def test_class_folders_are_read_with_or_without_an_images_folder(tmp_path, inside):
    d = FolderDataset(make_folder(tmp_path / "own", ["Cat", "Big_Dog"], inside=inside))
    assert d.class_names == ("Big Dog", "Cat") and len(d) == 20
    assert d.image(0).shape == (40, 40) and d.mask(0) is None


def test_a_single_folder_around_the_class_folders_is_entered(tmp_path):
    make_folder(tmp_path / "archive" / "dataset", ["A", "B"])
    assert FolderDataset(tmp_path).class_names == ("A", "B")


def test_masks_are_read_where_they_are(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "masks").mkdir()
    Image.fromarray(np.where(GREY > 100, 255, 0).astype("uint8")).save(
        tmp_path / "A" / "masks" / "A-0.png"
    )
    d = FolderDataset(tmp_path)
    np.testing.assert_array_equal(d.mask(0), GREY > 100)
    assert d.mask(1) is None


def test_the_fingerprint_follows_the_contents(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    before = FolderDataset(tmp_path).fingerprint
    assert FolderDataset(tmp_path).fingerprint == before
    Image.fromarray(255 - GREY).save(tmp_path / "A" / "images" / "A-0.png")
    assert FolderDataset(tmp_path).fingerprint != before


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        FolderDataset(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="is empty; it should hold one folder a class"):
        FolderDataset(tmp_path)


def test_one_class_only(tmp_path):
    make_folder(tmp_path, ["A"])
    with pytest.raises(UserError, match=r"one class only \('A'\)"):
        FolderDataset(tmp_path)


def test_an_empty_class_folder(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "C").mkdir()
    with pytest.raises(UserError, match="C holds no image"):
        FolderDataset(tmp_path)


def test_a_misspelt_class_folder(tmp_path):
    make_folder(tmp_path, ["Covid", "Lung_Opacity", "Normal", "Viral Pneumonia"], per_class=2)
    with pytest.raises(
        UserError, match=r"lacks the class folders \['COVID'\].*did you mean \['COVID'\]"
    ):
        FolderDataset(tmp_path)


def test_images_that_do_not_decode_are_counted_and_named(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "images" / "A-3.png").write_bytes(b"not an image")
    whole = (tmp_path / "B" / "images" / "B-7.png").read_bytes()
    (tmp_path / "B" / "images" / "B-7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"2 of 20 images do not decode: .*A-3\.png, .*B-7\.png; replace"
    ):
        FolderDataset(tmp_path)


def test_files_that_are_no_images_are_listed_not_read(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "images" / "notes.txt").write_text("a note")
    d = FolderDataset(tmp_path)
    assert len(d) == 20 and [f.replace("\\", "/") for f in d.ignored] == ["A/images/notes.txt"]


def test_every_kind_of_png_becomes_the_same_grey(tmp_path):
    palette = Image.fromarray(GREY).convert("RGB").quantize(256)
    kinds = {
        "grey": Image.fromarray(GREY),
        "rgb": Image.fromarray(GREY).convert("RGB"),
        "rgba": Image.fromarray(GREY).convert("RGBA"),
        "sixteen": Image.fromarray(GREY.astype("uint16") * 257),
        "palette": palette,
    }
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
        read = decode(tmp_path / f"{name}.png")
        assert read.dtype == np.uint8 and read.shape == (40, 40)
        assert np.abs(read.astype(int) - GREY).max() <= (4 if name == "palette" else 1), name


def test_values_of_unknown_scale_are_refused(tmp_path):
    Image.fromarray(GREY.astype("float32")).save(tmp_path / "f.tiff")
    with pytest.raises(UserError, match="mode 'F'"):
        decode(tmp_path / "f.tiff")


def test_real_data_without_a_folder_says_where_to_get_them():
    with pytest.raises(UserError, match="set ACRLLS_DATA"):
        data.load_data(configure("paper"))


def test_kaggle_without_a_network_says_what_to_do(monkeypatch):
    import kagglehub

    def offline(handle):
        assert handle == KAGGLE
        raise ConnectionError("no route to host")

    monkeypatch.setattr(kagglehub, "dataset_download", offline)
    with pytest.raises(UserError, match="no route to host.*by hand.*ACRLLS_DATA"):
        data.load_data(configure("paper", data="kaggle"))


@pytest.mark.real
def test_the_kaggle_sample_reads_as_it_lies(real_folder):
    d = FolderDataset(real_folder / "kaggle-sample")
    assert d.class_names == CLASSES and np.bincount(d.labels).tolist() == [16] * 4
    assert {d.image(i).shape for i in range(64)} == {(299, 299)}


@pytest.mark.real
def test_the_real_folder_reads_as_it_lies(real_folder):
    d = FolderDataset(real_folder / "COVID-19_Radiography_Dataset")
    assert d.class_names == CLASSES
    counts = dict(zip(d.class_names, np.bincount(d.labels).tolist(), strict=True))
    assert (counts["COVID"], counts["Normal"], counts["Viral Pneumonia"]) == (3616, 10192, 1345)
