"""What the project finds here: versions, machine, backend, data, weights, the store, the speed."""

import os
import platform
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from acrlls.backend import import_keras, keras_home, versions
from acrlls.config import Config, UserError, configure, profiles
from acrlls.data import Dataset, duplicates, load_data, render, split_of
from acrlls.paper import CLASSES, by_class
from acrlls.store import disk_told, store
from acrlls.tables.shift import TWIN

SIDE = 64  # pixels at which images are compared
_MOST, _FEW = 2**24, 6  # bytes of text that are read of a workbook, and addresses that are told


def examine(config: Config, twins: bool = False) -> Iterator[tuple[str, bool, str]]:
    """Each check of a config in turn: its title, whether all is well, and what there is to say;
    that for near copies reads every image, so it is done only if asked for."""
    checks = [_versions, _backend, _data, _weights, _store, _time]
    for check in checks + [_twins] * twins:
        title = check.__name__.lstrip("_")
        try:
            yield title, True, check(config)
        except (UserError, ImportError, OSError) as error:
            yield title, False, str(error)


def _versions(config: Config) -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise UserError(f"Python {sys.version.split()[0]}; the project is for 3.11 to 3.13")
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9 if known else np.nan
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB"
    return f"{found}; {machine}"


def _backend(config: Config) -> str:
    keras = import_keras()
    keras.ops.convert_to_numpy(keras.ops.softmax(np.ones((1, 4), "float32")))
    from acrlls.training import engine_version

    backend, by = keras.backend.backend(), engine_version()
    return f"Keras {keras.__version__} computes on {backend}, the frozen part by {by}"


def _data(config: Config) -> str:
    if config.data == "phantom":
        return f"phantom, {config.phantom_images} images drawn on demand"
    if config.data == "kaggle":
        return "kaggle, fetched by kagglehub when a section asks for it"
    data = load_data(config)
    counts = zip(data.class_names, np.bincount(data.labels), strict=True)
    each = [f"{name} {count:,}" for name, count in counts]
    if set(data.class_names) == set(CLASSES):
        published = by_class("images")[list(data.class_names)]
        each = [f"{one} (published {n:,.0f})" for one, n in zip(each, published, strict=True)]
    equal, across = duplicates(data, split_of(data, config))
    return (
        f"{len(data):,} images: {', '.join(each)}; {equal:,} files equal another, {across:,} of "
        f"them one in another part of the split. {data.unread()} {_sources(data)}"
    )


def _sources(data: Dataset) -> str:
    """Where the images of each class come from, by the files beside Kaggle's class folders."""
    inside = [data.files[k].parent for k in np.unique(data.labels, return_index=True)[1]]
    folders = [place.parent if place.name == "images" else place for place in inside]
    files = [folder.with_name(folder.name + ".metadata.xlsx") for folder in folders]
    if not any(file.exists() for file in files):
        return "No files of sources (`<Class>.metadata.xlsx`) beside the class folders."
    each = zip(data.class_names, map(_addresses, files), strict=True)
    said = "; ".join(f"{name}: {found}" for name, found in each)
    return f"Sources by `<Class>.metadata.xlsx`, which training does not read: {said}."


def _addresses(file: Path) -> str:
    """The addresses in a workbook, or their hosts where they are many, or why there are none."""
    try:
        with zipfile.ZipFile(file) as book:
            texts = book.getinfo("xl/sharedStrings.xml")  # each text once
            # of other kinds of compression a few bytes may unpack to gigabytes
            usual = texts.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not usual or len(content := book.open(texts).read(_MOST + 1)) > _MOST:
                return f"the file is packed as no workbook is, or larger than {_MOST >> 20} MB"
    except Exception as error:  # whatever a damaged file makes zipfile meet
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"the file cannot be read ({why})"
    found = re.findall(r"(?<![\"'])https?://[!#-;=?-~]{1,200}", content.decode("latin-1"))
    found = {page.replace("&amp;", "&") for page in found}
    found = found if len(found) <= _FEW else {page.split("/")[2] for page in found}
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return ", ".join(sorted(found)[:_FEW]) + more or "the file names no address"


def _twins(config: Config) -> str:
    data = load_data(config)
    test, (_, alike) = split_of(data, config).test, nearest(data, config)
    return (
        f"{(alike >= TWIN).sum():,} of {len(test):,} test images have a near copy in training "
        f"(correlation of {TWIN} or more at {SIDE} × {SIDE} pixels)"
    )


def nearest(dataset: Dataset, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """For each test image the position of the training image that is most like it and their
    correlation, each ``(n,)``, at :data:`SIDE` squared pixels."""
    split = split_of(dataset, config)
    train, test = (_standardised(dataset, part) for part in (split.train, split.test))
    each = [(train @ one).argmax() for one in test]
    return split.train[each], np.einsum("ij,ij->i", train[each], test)


def _standardised(dataset: Dataset, positions) -> np.ndarray:
    """Small images of mean zero and norm one, ``(n, SIDE²)`` float32."""
    grey = [render(dataset.image(int(i)), SIDE).astype("f4").ravel() for i in positions]
    small = np.stack(grey)
    small -= small.mean(axis=1, keepdims=True)
    return small / np.linalg.norm(small, axis=1, keepdims=True).clip(1e-6)


def _weights(config: Config) -> str:
    from acrlls.method import weights_file

    kept = (keras_home() / "models").glob("mobilenet_v2*")
    if config.backbone == "imagenet" and not list(kept):
        return "imagenet, not in Keras's cache: downloaded when asked for"
    return f"{config.backbone}, {weights_file(config) or 'no file'}"


def _store(config: Config) -> str:
    from acrlls.training import limit, readable, used

    folder = store()
    with disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    kept, most, free = map(readable, (used(folder), limit(), shutil.disk_usage(folder).free))
    return f"{folder}, writable, {kept} kept, {free} free; stored features may take {most} of it"


def _time(config: Config) -> str:
    """For this profile and each that ships; of the others, for the paper's number of images."""
    others = [name for name in profiles() if name != Path(config.profile).stem]
    asked = [config] + [configure(name, backbone="random", data="kaggle") for name in others]
    each = {Path(c.profile).stem: _minutes(c) for c in asked}
    said = [f"{name} {f'{m:,.0f}' if m >= 1 else 'under 1'}" for name, m in each.items()]
    return (
        f"minutes to bring all images and views through the frozen part, by profile: "
        f"{', '.join(said)}; the training comes on top, and `acrlls bench` measures all of it"
    )


def _minutes(config: Config) -> float:
    """Measured on noise, as the content of an image does not matter."""
    from acrlls.method import POOL
    from acrlls.training import frozen_forward, phases

    forward = frozen_forward(config, (POOL,))
    noise = np.random.default_rng(0).random((32, config.image_size, config.image_size, 3), "f4")
    forward(noise)  # the first call compiles
    start = time.perf_counter()
    forward(noise)
    rate = len(noise) / (time.perf_counter() - start)
    n = int(by_class("images").sum()) if config.data in (None, "kaggle") else len(load_data(config))
    views = len(set().union(*(plan.views for plan in phases(config))))
    return n * (config.train_fraction * views + 1) / rate / 60
