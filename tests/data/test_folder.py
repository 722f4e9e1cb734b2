"""Folders of images: read, refused or named, whatever is wrong; what is kept of them is checked."""

import json
import os
import shutil
import struct
import zlib
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from conftest import harm
from PIL import Image

from acrlls import data
from acrlls.config import UserError, configure
from acrlls.data.dataset import KAGGLE, PhantomDataset
from acrlls.data.folder import FolderDataset, decode
from acrlls.paper import CLASSES

GREY = np.linspace(0, 255, 40 * 40).reshape(40, 40).astype("uint8")
GREY16 = (GREY * np.uint16(16)).astype(">u2")  # 12 bits of 16


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
    (tmp_path / "archive" / "__MACOSX" / "dataset").mkdir(parents=True)  # as a Mac packs it
    assert FolderDataset(tmp_path).class_names == ("A", "B")


def test_a_name_with_a_line_break_stays_one_row_of_a_table(tmp_path):
    file = make_folder(tmp_path, ["A", "B"], 1, ".") / "A" / "A-0.png"
    shutil.copy(file, file.with_name("a\\rb\\n.png"))  # is called otherwise
    file.rename(file.with_name("a\rb\n.png"))
    names = FolderDataset(tmp_path).names
    assert list(names) == ["a\\rb\\n", "a\\\\rb\\\\n", "B-0"]
    pd.DataFrame({"name": names}).to_csv(tmp_path / "t.csv", index=False)
    assert list(pd.read_csv(tmp_path / "t.csv").name) == list(names)


def test_masks_are_read_where_they_are(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "masks").mkdir()
    Image.fromarray(np.where(GREY > 100, 255, 0).astype("uint8")).save(
        tmp_path / "A" / "masks" / "A-0.png"
    )
    d = FolderDataset(tmp_path)
    np.testing.assert_array_equal(d.mask(0), GREY > 100)
    assert d.mask(1) is None
    Image.fromarray((GREY > 100).astype("uint8")).save(tmp_path / "A" / "masks" / "A-0.png")
    np.testing.assert_array_equal(d.mask(0), GREY > 100)  # of 0 and 1


@pytest.mark.parametrize("inside", ["images", "."])
def test_a_mask_may_have_another_suffix_unless_it_is_another_images(tmp_path, inside):
    make_folder(tmp_path, ["A", "B"], inside=inside)
    for name in ("A-0.jpg", "C.jpg"):
        Image.fromarray(GREY).save(tmp_path / "A" / inside / name)
    (tmp_path / "A" / "masks").mkdir()
    for name in ("A-0.png", "C.png"):
        Image.fromarray(np.where(GREY > 100, 255, 0).astype("uint8")).save(
            tmp_path / "A" / "masks" / name
        )
    (tmp_path / "A" / "masks" / "A-1.png").write_bytes(b"broken")
    d = FolderDataset(tmp_path)
    having = [f.name for i, f in enumerate(d.files) if f.stem != "A-1" and d.mask(i) is not None]
    assert having == ["A-0.png", "C.jpg"] and d.unread() == "Every file of the folder is read."
    with pytest.raises(UserError, match=r"masks/A-1.png does not decode: it is no image that"):
        d.mask([f.name for f in d.files].index("A-1.png"))


def test_the_fingerprint_follows_the_contents(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    before = FolderDataset(tmp_path).fingerprint
    assert FolderDataset(tmp_path).fingerprint == before
    Image.fromarray(255 - GREY).save(tmp_path / "A" / "images" / "A-0.png")
    assert FolderDataset(tmp_path).fingerprint != before


def test_a_file_that_takes_anothers_place_size_and_time_is_seen(tmp_path):
    folder = make_folder(tmp_path / "own", ["A", "B"], inside=".") / "A"
    Image.fromarray(GREY).save(folder / "A-0.bmp")
    Image.fromarray(255 - GREY).save(tmp_path / "other.bmp")
    before = data.load_data(configure("quick", data=str(folder.parent)))
    stat = (folder / "A-0.bmp").stat()
    os.utime(tmp_path / "other.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "other.bmp").replace(folder / "A-0.bmp")
    assert (folder / "A-0.bmp").stat().st_mtime_ns == stat.st_mtime_ns
    after = data.load_data(configure("quick", data=str(folder.parent)))
    assert before.fingerprint != after.fingerprint
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="A holds no image"):
        data.load_data(configure("quick", data=str(folder.parent)))


NOTES = {
    "cut": lambda text: text[:30],
    "other keys": lambda text: '{"a": 1}',
    "a list": lambda text: "[1]",
    "too few": lambda text: text.replace(json.loads(text)["contents"][0], "", 1),
    "no list": lambda text: json.dumps({**json.loads(text), "contents": 2}),
}


@pytest.mark.parametrize("edited", NOTES.values(), ids=NOTES)
def test_a_damaged_note_on_a_folder_is_named_and_made_again(tmp_path, monkeypatch, caplog, edited):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    root = make_folder(tmp_path / "own", ["A", "B"])
    before = FolderDataset(root)
    (note,) = tmp_path.glob("store/folders/*.json")
    whole = note.read_text()
    note.write_text(edited(whole))
    after = FolderDataset(root)
    assert after.fingerprint == before.fingerprint and (after.contents == before.contents).all()
    assert f"{note} is damaged" in caplog.text and note.read_text() == whole


@pytest.mark.parametrize("how", ["cut", "flip", "empty", "a folder"])
def test_damaged_phantoms_are_named_and_drawn_again(tmp_path, monkeypatch, caplog, how):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path))
    before = PhantomDataset(3, 0, 32)
    (file,) = tmp_path.glob("phantom/*.npz")
    harm(file, how)
    for _ in range(2):
        np.testing.assert_array_equal(PhantomDataset(3, 0, 32).image(2), before.image(2))
    assert caplog.text.count(f"{file} is damaged") == 1


@pytest.mark.parametrize(
    ("classes", "wrong", "said"),
    [
        ([], lambda root: root.rmdir(), "does not exist"),
        ([], lambda root: (root.rmdir(), root.write_text("PK")), "own is a file; give the folder"),
        ([], lambda root: None, "has no folder in it; it should hold one"),
        (["A"], lambda root: None, r"one class only \('A'\)"),
        (["images", "masks"], lambda root: None, "images and masks, .*; give the folder above"),
        (["A", "B", "Masks"], lambda root: None, "holds Masks, as .*, or remove what is no class"),
        (["A", "B"], lambda root: (root / "C").mkdir(), "C holds no image"),
        (
            ["A", "B"],
            lambda root: make_folder(root / "test", ["A", "B"]),
            "test holds no image .* give it as the data",
        ),
        (["A", "B"], lambda root: (root / "C").symlink_to(root / "gone"), "lead nowhere: C"),
        (["A", "B"], lambda root: (root / "C").symlink_to("A"), "A and .*C are one by a link"),
        (["A", "B"], lambda root: os.mkdir(os.fsencode(root) + b"/\xfc"), r"udcfc' has a name"),
        (
            ["A", "B"],
            lambda root: shutil.copy(
                root / "A/images/A-0.png", os.fsencode(root) + b"/A/images/\xfc.png"
            ),
            r"A/images/.udcfc\.png' has a name that is no UTF-8; rename it",
        ),
    ],
)
def test_a_folder_that_cannot_be_meant_is_a_message(tmp_path, classes, wrong, said):
    (tmp_path / "own").mkdir()
    wrong(make_folder(tmp_path / "own", classes))
    with pytest.raises(UserError, match=said):
        FolderDataset(tmp_path / "own")


def test_a_name_that_the_locale_cannot_read_is_not_called_wrong(tmp_path, monkeypatch):
    make_folder(tmp_path / "own", ["A", "B"])
    os.mkdir(os.fsencode(tmp_path / "own") + b"/\xfc")
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    with pytest.raises(UserError, match="no text in this locale; set PYTHONUTF8=1, or rename it"):
        FolderDataset(tmp_path / "own")


def test_a_name_keeps_nothing_that_a_page_would_take_for_its_own(tmp_path):
    make_folder(tmp_path, ["$x$ _y_", "<b>|`c`", "Lung_Opacity"])
    assert FolderDataset(tmp_path).class_names == ("x y", "b c", "Lung Opacity")


@pytest.mark.parametrize(
    "classes, said",
    [
        (["a b", "a_b", "c"], "'a b' and 'a_b' would both be called 'a b'"),
        (["a", "a\u200b"], r"'a' and 'a\u200b' would both be called 'a'"),
        (["e\u0301", "\xe9"], r"'e\u0301' and '\xe9' would both be called"),
        (["Normal", "normal"], "'Normal' and 'normal' would both be called 'normal', or look so"),
        (["Normal", "Norm\u0430l"], r"'Normal' and 'Norm\u0430l' would both be called"),
        (["Normal", "\u039dormal"], r"'Normal' and '\u039dormal' would both be called"),
        (["Normal", "\uff2eormal"], r"'Normal' and '\uff2eormal' would both be called"),
        (["Normal", "Nor\u200bmal"], r"'Normal' and 'Nor\u200bmal' would both be called"),
        (["Phase", "c"], "Phase has a name that tables use"),
        (["all", "c"], "all has a name that tables use"),
        (["$$", "c"], "$$ has a name of signs alone that pages take for their own; rename"),
        (["\\", "c"], "has a name of signs alone"),
    ],
)
def test_names_that_tables_could_not_tell_apart_are_refused(tmp_path, classes, said):
    make_folder(tmp_path, classes, per_class=1)
    with pytest.raises(UserError) as caught:
        FolderDataset(tmp_path)
    assert said in str(caught.value)


def test_names_that_look_different_are_kept(tmp_path):
    names = ("1", "10", "A+", "A-", "Grade 1", "Grade 1+")
    assert FolderDataset(make_folder(tmp_path, names, per_class=1)).class_names == names


def test_images_that_do_not_decode_are_counted_and_named(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    (tmp_path / "A" / "images" / "A-3.png").write_bytes(b"not an image")
    whole = (tmp_path / "B" / "images" / "B-7.png").read_bytes()
    (tmp_path / "B" / "images" / "B-7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"2 of 20 .*A-3\.png \(it is no image that .*, .*B-7\.png \(.*; replace"
    ):
        FolderDataset(tmp_path)


def test_every_file_is_read_or_listed(tmp_path):
    make_folder(tmp_path, ["A", "B"])
    a = tmp_path / "A" / "images"
    for name in ("note.txt", "scan.dcm", "photo.heic", "bare", ".hidden"):
        (a / name).write_text("not read")
    masks = ("A/masks/A-0.png", "A/masks/A-1.bmp", "A/masks/orphan.png")
    for name in ("A/images/deeper/x.png", "A/beside.png", *masks, "loose.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY).save(tmp_path / name)
    (a / "dead.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(a / "pipe.png")
    d = FolderDataset(tmp_path)
    listed = ["bare", "dead.png", "deeper/x.png", "note.txt", "photo.heic", "pipe.png", "scan.dcm"]
    listed = ["A/beside.png", *(f"A/images/{name}" for name in listed)]
    listed += ["A/masks/orphan.png", "loose.png"]
    assert len(d) == 20 and sorted(d.ignored) == sorted(listed)
    assert "10 (`A/beside.png`, `A/images/bare` and 8 more). " in d.unread(2)


def test_files_around_the_folder_of_the_classes_are_listed_each_on_one_line(tmp_path):
    make_folder(tmp_path / "set", ["A", "B"])
    Image.fromarray(GREY).save(tmp_path / "more.png")
    (tmp_path / "set" / "A" / "images" / "a\nb.txt").write_text("")
    (tmp_path / "set" / "A" / "deep").mkdir()
    (tmp_path / "set" / "A" / "deep" / os.fsdecode(b"\xfc.txt")).write_text("")
    said = FolderDataset(tmp_path).unread()
    assert r"3 (`more.png`, `set/A/deep/\udcfc.txt`, `set/A/images/a\nb.txt`)." in said


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


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_tiff_whose_zero_is_white_is_not_read_as_its_negative(tmp_path, kind):
    values = GREY.astype(kind) if kind == "uint8" else (255.0 - GREY).astype(kind)
    # Pillow turns 8 bits when it writes them, as when it reads them
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), GREY)


@pytest.mark.parametrize("kind, top", [("uint16", 4095), ("int32", 70_000), ("float32", 0.5)])
def test_more_than_eight_bits_run_from_the_smallest_value_to_the_largest(tmp_path, kind, top):
    values = GREY.astype("float64") / 255 * top
    Image.fromarray(values.round(0 if top > 1 else 9).astype(kind)).save(tmp_path / "x.tiff")
    assert np.abs(decode(tmp_path / "x.tiff").astype(int) - GREY).max() <= 1


def deep_png(kind, channels):
    """A PNG file of 12-bit values in 16 bits, which Pillow reads but does not write."""
    values = np.repeat(GREY16[..., None], channels, axis=2)
    parts = {b"IHDR": struct.pack(">IIBBBBB", 40, 40, 16, kind, 0, 0, 0)}
    parts[b"IDAT"] = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    parts = [(name + data, len(data)) for name, data in {**parts, b"IEND": b""}.items()]
    parts = [struct.pack(">I", n) + p + struct.pack(">I", zlib.crc32(p)) for p, n in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff():
    """A TIFF file of such values in three colours: one of 8 bits, twice as wide, changed."""
    file = BytesIO()
    Image.fromarray(np.zeros((40, 80, 3), "uint8")).save(file, "tiff")
    content = file.getvalue().replace(3 * b"\x08\0", 3 * b"\x10\0")
    return content.replace(
        struct.pack("<2HI", 256, 4, 1) + b"P", struct.pack("<2HI", 256, 4, 1) + b"("
    )


def deep(top):
    return b"P6\n40 40\n%d\n" % top + np.repeat(GREY16, 3).tobytes()


def jpeg2000(mode, bits):
    """A JPEG 2000 file of a mode, whose header tells of so many bits a component."""
    file = BytesIO()
    Image.fromarray(GREY).convert(mode).save(file, "JPEG2000")
    content = bytearray(file.getvalue())
    at = content.index(b"\xff\x4f\xff\x51") + 42
    content[at : at + 3 * len(mode) : 3] = [bits - 1] * len(mode)
    return bytes(content)


@pytest.mark.parametrize(
    "name, content",
    [
        ("la.png", deep_png(4, 2)),
        ("rgb.png", deep_png(2, 3)),
        ("rgba.png", deep_png(6, 4)),
        ("x.ppm", deep(65535)),
        ("x.tiff", deep_tiff()),
        ("x.jp2", jpeg2000("RGB", 16)),
        ("la.j2k", jpeg2000("LA", 16)),
        ("x.sgi", struct.pack(">6H", 474, 2, 3, 40, 40, 3).ljust(512, b"\0") + bytes(9600)),
    ],
)
def test_colours_whose_low_bits_would_be_dropped_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    Image.open(tmp_path / name).load()  # as it is, Pillow reads it
    with pytest.raises(UserError, match=f"{name} does not decode: it has 16 bits a colour.*; save"):
        decode(tmp_path / name)


def test_twelve_bits_that_a_file_tells_of_are_kept(tmp_path):
    (tmp_path / "grey.png").write_bytes(deep_png(0, 1))
    (tmp_path / "x.ppm").write_bytes(deep(4080))
    for name in ("grey.png", "x.ppm"):
        assert np.abs(decode(tmp_path / name).astype(int) - GREY).max() <= 1
    (tmp_path / "x.jp2").write_bytes(jpeg2000("RGB", 12))
    assert decode(tmp_path / "x.jp2").shape == GREY.shape


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
    for name, content in {"text.png": b"text", "zero.png": b""}.items():
        (folder / name).write_bytes(content)
        yield name, f"{folder / name} does not decode: it is no image that Pillow reads"
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
