"""The published split and weights, augmentation as one map, and folders that are not right."""

import os

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


@pytest.mark.parametrize(
    ("classes", "wrong", "said"),
    [
        ([], lambda root: root.rmdir(), "does not exist"),
        ([], lambda root: None, "is empty; it should hold one folder a class"),
        (["A"], lambda root: None, r"one class only \('A'\)"),
        (["A", "B"], lambda root: (root / "C").mkdir(), "C holds no image"),
        (["A", "B"], lambda root: (root / "C").symlink_to(root / "gone"), "lead nowhere: C"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_a_message(tmp_path, classes, wrong, said):
    (tmp_path / "own").mkdir()
    wrong(make_folder(tmp_path / "own", classes))
    with pytest.raises(UserError, match=said):
        FolderDataset(tmp_path / "own")


def test_a_name_keeps_nothing_that_a_page_would_take_for_its_own(tmp_path):
    make_folder(tmp_path, ["$x$ _y_", "<b>|`c`", "Lung_Opacity"])
    assert FolderDataset(tmp_path).class_names == ("x y", "b c", "Lung Opacity")


@pytest.mark.parametrize(
    "classes, said",
    [
        (["a b", "a_b", "c"], "'a b' and 'a_b' would both be called 'a b'"),
        (["Phase", "c"], "Phase has a name that tables use"),
        (["all", "c"], "all has a name that tables use"),
        (["$$", "c"], "has a name that tables use"),
    ],
)
def test_names_that_tables_could_not_tell_apart_are_refused(tmp_path, classes, said):
    make_folder(tmp_path, classes, per_class=1)
    with pytest.raises(UserError) as caught:
        FolderDataset(tmp_path)
    assert said in str(caught.value)


def test_images_that_do_not_decode_are_counted_and_named(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "images" / "A-3.png").write_bytes(b"not an image")
    whole = (tmp_path / "B" / "images" / "B-7.png").read_bytes()
    (tmp_path / "B" / "images" / "B-7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"2 of 20 images do not decode: .*A-3\.png \(.*, .*B-7\.png \(.*; replace"
    ):
        FolderDataset(tmp_path)


def test_every_file_is_read_or_listed(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    a = tmp_path / "A" / "images"
    for name in ("note.txt", "scan.dcm", "photo.heic", "bare", ".hidden"):
        (a / name).write_text("not read")
    for name in ("A/images/deeper/x.png", "A/beside.png", "A/masks/A-0.png", "loose.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY).save(tmp_path / name)
    (a / "dead.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(a / "pipe.png")
    d = FolderDataset(tmp_path)
    listed = ["bare", "dead.png", "deeper/x.png", "note.txt", "photo.heic", "pipe.png", "scan.dcm"]
    listed = ["A/beside.png", *(f"A/images/{name}" for name in listed), "loose.png"]
    assert len(d) == 20 and sorted(d.ignored) == sorted(listed)
    assert d.unread(2).startswith("9 of the folder's files are not read")
    assert d.unread(2).endswith("`A/beside.png`, `A/images/bare` and 7 more.")


def test_files_that_are_equal_are_counted_and_those_in_two_parts(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    for folder in "AB":  # all alike at first; then only two in one part and two in two parts
        for i in range(10):
            Image.fromarray(GREY + np.uint8(i)).save(
                tmp_path / folder / "images" / f"{folder}-{i}.{'png' if folder == 'A' else 'bmp'}"
            )
        for file in (tmp_path / folder / "images").glob("B*.png"):
            file.unlink()
    d = FolderDataset(tmp_path)
    assert data.duplicates(d, data.split_of(d, configure("quick"))) == (0, 0)
    for a, b in ((0, 1), (2, 10)):
        d.contents[b] = d.contents[a]
    parts = data.Split(np.arange(10), np.arange(10, 15), np.arange(15, 20))
    assert data.duplicates(d, parts) == (4, 2)


def test_images_below_a_linked_class_folder_are_read(tmp_path):
    make_folder(tmp_path / "disk", ["A", "B"], inside=".")
    (tmp_path / "set").mkdir()
    for name in "AB":
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk" / name)
    d = FolderDataset(tmp_path / "set")
    assert len(d) == 20 and not d.ignored


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


@pytest.mark.parametrize("kind, top", [("uint16", 4095), ("int32", 70_000), ("float32", 0.5)])
def test_more_than_eight_bits_run_from_the_smallest_value_to_the_largest(tmp_path, kind, top):
    values = GREY.astype("float64") / 255 * top
    Image.fromarray(values.round(0 if top > 1 else 9).astype(kind)).save(tmp_path / "x.tiff")
    assert np.abs(decode(tmp_path / "x.tiff").astype(int) - GREY).max() <= 1


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(GREY).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "x.png"), np.rot90(GREY, -1))


def refusals(folder):
    """Files that cannot be read as one image of numbers, and what is said of each."""
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(folder / "two.tiff", save_all=True, append_images=frames[1:])
    yield "two.tiff", "it holds 2 images"
    Image.fromarray(np.where(GREY > 9, GREY, np.nan).astype("float32")).save(folder / "nan.tiff")
    yield "nan.tiff", "no numbers"
    head = Image.new("L", (1, 1))
    head.save(folder / "bomb.bmp")
    content = bytearray((folder / "bomb.bmp").read_bytes())
    content[18:26] = (30_000).to_bytes(4, "little") * 2
    (folder / "bomb.bmp").write_bytes(content)
    yield "bomb.bmp", "DecompressionBombError"
    (folder / "odd.dds").write_bytes(b"DDS " + bytes([124, 0, 0, 0]) + bytes(200))
    yield "odd.dds", "odd.dds"
    (folder / "short.blp").write_bytes(b"BLP1" + bytes(3))
    yield "short.blp", "short.blp"
    (folder / "folder.png").mkdir()  # as what may not be read: opening it is an OSError
    yield "folder.png", "directory"


def test_an_image_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    for name, said in refusals(tmp_path):
        with pytest.raises(UserError, match=rf"{name} does not decode: ") as caught:
            decode(tmp_path / name)
        assert said in str(caught.value)


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
