"""Helpers that several test modules share."""

import contextlib
import os
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy.special import softmax

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# several processes share the cores already
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_name, "1")


# Read before any test clears the environment.
REAL = Path(os.environ.get("ACRLLS_DATA") or Path(__file__).parents[2] / "shared" / "data")

HOST = "http://book.test/"  # where a browser in a test finds the book

# Settings with which everything trains in seconds. Not with a random backbone: untrained, it maps
# every image to 1e-12, and whatever is said about its features holds.
TINY = {
    "phantom_images": 185,  # 128 to train on: full batches, of which one kind alone is compiled
    "image_size": 48,
    "backbone": "phantom",
    "phase1_epochs": 2,
    "phase2_epochs": 1,
    "unfrozen_layers": 20,
    "grid_epochs": 1,
    "grid_alpha": [0.08],
    "grid_tau": [0.15, 0.25],
    "resamples": 20,
}

# Claims of the paper that its own other numbers contradict.
CONTRADICTIONS = {
    "share.Normal",
    "table_I.5.val_accuracy",
    "ece.reduction_up_to",
    "lls.below_one",
    "lls.reduced_confidence",
    "ablation.single_higher",
    "method.favours_one",
    "method.more_strongly",
    "method.no_tuning",
    "method.entropy",
    "intro.predicted_class",
    "intro.during_training",
}


def random_case(n=600, classes=4, seed=0):
    """Probabilities `(n, classes)` and labels drawn from others, so that they are miscalibrated."""
    rng = np.random.default_rng(seed)
    z = 3 * rng.normal(size=(n, classes))
    return softmax(z, axis=1), labels_of(softmax(0.6 * z + 0.3, axis=1), rng)


def labels_of(p, rng):
    """One label a row, drawn from its probabilities."""
    return (rng.random((len(p), 1)) >= p.cumsum(axis=1)[:, :-1]).sum(axis=1)


def fake_run(logits, labels, classes=None, about=None, **settings):
    """A run of the phantom with these logits of its images, or by phase, of the paper's classes or
    others; what is known ``about`` it, such as its history; and a config with these settings."""
    from acrlls.config import configure
    from acrlls.paper import CLASSES
    from acrlls.runs import Predictions, Run

    names, classes = np.arange(len(labels)).astype(str), tuple(classes or CLASSES)

    class Fake(Run):
        def predictions(self, part="test", phase=None):
            of_phase = logits[phase] if isinstance(logits, dict) else logits
            return Predictions(names, labels, of_phase, classes, part)

    run = Fake(Path("nowhere"), configure("quick", **{"data": "phantom"} | settings))
    manifest = {"class_names": classes, "selected_phase": 2}
    vars(run).update({"manifest": manifest} | (about or {}))
    return run


def harm(file, how):
    """Damage a file: it is ``"cut"`` in half, has a byte turned, ``"flip"``, is ``"empty"`` or
    ``"deleted"``, or has made way for ``"a folder"``."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 255
    file.unlink()
    if how == "a folder":
        file.mkdir()
    elif how != "deleted":
        file.write_bytes({"cut": content[:middle], "flip": content, "empty": b""}[how])


# Modules that take longest, to begin with, so that two processes end together.
LONGEST = ["notebooks", "training", "cli", "bench", "book"]
LONGEST += ["features", "backends", "gradcam", "records"]


def pytest_collection_modifyitems(config, items):
    """Tests of two kinds run when asked for: slow ones, which also run where the real images are,
    and thorough ones."""
    names = [f"test_{name}" for name in LONGEST]
    items.sort(key=lambda item: [*names, item.module.__name__].index(item.module.__name__))
    if config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.skip(reason="thorough: runs with make thorough"))
        elif item.get_closest_marker("slow") and not REAL.is_dir():
            why = "slow: runs with -m slow, or where the real images are"
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory):
    """No choice of the developer's shell reaches a test, and no test touches kept runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ACRLLS_PROFILE", "ACRLLS_DATA"):
            patch.delenv(name, raising=False)
        patch.setenv("ACRLLS_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session")
def tiny():
    """A config that trains in seconds."""
    from acrlls.config import configure

    with pytest.MonkeyPatch.context() as patch:
        # a module's own profile may be in force when it is first asked for
        patch.delenv("ACRLLS_PROFILE", raising=False)
        return configure("quick", **TINY)


@pytest.fixture(scope="session")
def phantom_data(tiny):
    """The tiny config's data set."""
    from acrlls.data import load_data

    return load_data(tiny)


@pytest.fixture
def trained(monkeypatch):
    """The configs of the trainings of a test, which write two files and nothing else."""
    configs = []

    def train(config, dataset, folder):
        configs.append(config)
        (folder / "best.json").write_text('{"engines": [], "selected": 1, "phases": {}}')
        (folder / "history.csv").write_text("seconds,val_loss\n1,1\n")

    monkeypatch.setattr("acrlls.training.train", train, raising=False)
    return configs


@pytest.fixture(scope="session")
def real_folder():
    """The folder of the real data sets; the test is skipped where it is not."""
    if not (REAL / "COVID-19_Radiography_Dataset").is_dir():
        pytest.skip(f"no real images at {REAL}")
    return REAL


@pytest.fixture(scope="session")
def entries():
    """The ledger with few resamples."""
    from acrlls.ledger import Facts, Ledger

    return Ledger(Facts(resamples=100))


def write_notebook_file(path, *cells):
    """Write a notebook. A cell is its text or ``(text, tags)``; text that begins with ``# `` is
    Markdown, other text is code."""
    nodes = []
    for cell in cells:
        text, tags = (cell, []) if isinstance(cell, str) else cell
        markdown = text.startswith("# ")
        new = nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell
        nodes.append(new(text, metadata={"tags": tags} if tags else {}))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=nodes, metadata={"kernelspec": kernel}), path)
    return path


def write_cells(root):
    """Function ``(name, *cells)`` that writes a section of a small project."""
    return lambda name, *cells: write_notebook_file(root / "notebooks" / f"{name}.ipynb", *cells)


@pytest.fixture
def write_notebook():
    return write_notebook_file


@pytest.fixture(scope="session")
def browser():
    """Chromium of the system, for the tests that look at pages."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("Chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@contextlib.contextmanager
def watched_page(browser):
    """A new page, which fails the test when it reports an error or leaves the machine."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    yield page
    page.close()
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:", HOST))]
    assert not errors
