"""Damaged images and impossible settings: each is read, or refused with a message that names it.

    python results/fuzz/fuzz.py 100000     half of them images, half settings; writes counts.csv
    python results/fuzz/fuzz.py --one 4711    one case again, with its traceback

A case is made from its number alone.  *Read*: an image is 8-bit grey of at least one pixel,
or that the settings survive a round trip; *refused*, that the error is a :class:`acrlls.UserError`
whose message names the file or the setting.  Anything else is a fault, and is listed.
"""

import argparse
import io
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import yaml
from PIL import Image

from acrlls import Config, UserError, configure
from acrlls.data.folder import decode

FORMATS = {
    "png": ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"),
    "jpeg": ("L", "RGB", "CMYK"),
    "tiff": ("L", "RGB", "I;16", "F", "1", "P"),
    "gif": ("L", "P"),
    "bmp": ("L", "RGB", "1"),
    "webp": ("RGB", "RGBA"),
    "ppm": ("L", "RGB"),
    "tga": ("L", "RGB"),
}
VALUES = [None, True, False, 0, 1, -1, 2, 0.5, 1e-300, 1e308, 10**40, -(10**40)]
VALUES += [
    float("nan"),
    float("inf"),
    "",
    " ",
    "0.5",
    "quick",
    "laptop",
    "random",
    "../x",
    "~",
    "\0",
]
VALUES += [
    "é" * 5000,
    [],
    [0.1],
    [[1]],
    ["reestimated", 2],
    {},
    {"a": 1},
    {1: 2},
    b"x",
    (1, 2),
    "!!python/none",
]
# what a person would set: else hardly a case has every value in its range
SOUND = [0.1, 0.2, 1, 3, 20, 64, True, "cross_entropy", "baseline", "update", [0.1, 0.2], 0.25]


def damaged_image(rng) -> tuple[str, bytes]:
    """The kind of a small image, and its bytes after up to four kinds of damage."""
    kind = rng.choice(list(FORMATS))
    mode = rng.choice(FORMATS[kind])
    grey = rng.integers(0, 256, rng.integers(1, 40, 2)).astype(np.uint8)
    wide = {"I;16": np.uint16, "F": np.float32}.get(mode)
    image = Image.fromarray(grey.astype(wide) * 7) if wide else Image.fromarray(grey).convert(mode)
    exif = Image.Exif()
    exif[274] = int(rng.integers(0, 12))  # the orientation, from 1 to 8 where it is sound
    file = io.BytesIO()
    image.save(file, kind, **({"exif": exif} if kind in ("jpeg", "webp", "png") else {}))
    content = np.frombuffer(file.getvalue(), np.uint8)
    for damage in rng.choice(["bytes", "cut", "repeat", "header", "zeros"], rng.integers(0, 5)):
        at = int(rng.integers(len(content))) if len(content) else 0
        if damage == "bytes":
            content = content.copy()
            where = rng.integers(0, max(len(content), 1), 4)[: len(content)]
            content[where] = rng.integers(0, 256, len(where))
        elif damage == "header":  # where formats keep sizes and offsets
            content = content.copy()
            content[:64][rng.integers(0, max(min(64, len(content)), 1), 2)[: len(content)]] = 255
        elif damage == "cut":
            content = content[:at]
        elif damage == "repeat":
            content = np.concatenate([content[:at], content[at // 2 :]])
        else:
            content = np.concatenate([content[:at], np.zeros(16, np.uint8), content[at:]])
    return str(kind), content.tobytes()


def an_image(rng, folder: Path) -> tuple[str, str]:
    kind, content = damaged_image(rng)
    file = folder / f"image.{kind}"
    file.write_bytes(content)
    try:
        grey = decode(file)
    except UserError as error:
        assert str(file) in str(error), f"the message does not name the file: {error}"
        return kind, "refused"
    assert grey.dtype == np.uint8 and grey.ndim == 2 and grey.size, f"{grey.dtype} {grey.shape}"
    return kind, "read"


def settings_of_a_case(rng, folder: Path) -> tuple[str, str]:
    """Settings given as arguments, or in a YAML file whose bytes may be damaged too."""
    names = [*Config.__dataclass_fields__, "alhpa", "data ", "profil"]
    values = SOUND if rng.random() < 0.5 else VALUES
    chosen = {
        str(name): values[rng.integers(len(values))]
        for name in rng.choice(names, rng.integers(1, 5), replace=False)
    }
    chosen.pop("profile", None)
    if as_file := rng.random() < 0.5:
        text = yaml.dump(chosen).encode()
        if rng.random() < 0.5:
            at = rng.integers(len(text))
            text = text[:at] + bytes(rng.integers(0, 256, 3, dtype=np.uint8)) + text[at:]
        (folder / "profile.yml").write_bytes(text)
    kind = "settings in a file" if as_file else "settings"
    try:
        file = str(folder / "profile.yml")
        config = configure(file) if as_file else configure("quick", **chosen)
    except UserError as error:
        named = any(name in str(error) for name in (*chosen, "profile", "parameter"))
        assert named, f"the message does not name the setting: {error}"
        return kind, "refused"
    assert Config(**config.as_dict()) == config, "the settings do not survive a round trip"
    return kind, "read"


def one(number: int, folder: Path) -> tuple[str, str]:
    rng = np.random.default_rng(number)
    return (settings_of_a_case if number % 2 else an_image)(rng, folder)


def some(numbers: range) -> Counter:
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged files
        for number in numbers:
            try:
                counts[one(number, Path(folder))] += 1
            except Exception as error:
                counts["faults", f"{number}: {type(error).__name__}: {str(error)[:120]}"] += 1
    return counts


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=int, nargs="?", default=1000)
    parser.add_argument("--one", type=int)
    given = parser.parse_args()
    if given.one is not None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(one(given.one, Path(folder)))
            except Exception:
                traceback.print_exc()
        return 0
    parts = [range(k, min(k + 500, given.cases)) for k in range(0, given.cases, 500)]
    counts = sum(
        joblib.Parallel(n_jobs=-1)(joblib.delayed(some)(part) for part in parts), Counter()
    )
    faults = sorted(what for kind, what in counts if kind == "faults")
    for what in faults[:20]:
        print("fault", what)
    table = pd.Series({k: n for k, n in counts.items() if k[0] != "faults"}).unstack(fill_value=0)
    table.loc["all"] = table.sum()
    table.rename_axis("kind").sort_index().to_csv(Path(__file__).with_name("counts.csv"))
    print(table.sort_index(), f"{len(faults)} faults", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
