"""The sections in notebooks/: equal to their text pairs, without outputs, readable, able to run."""

import ast
import re
import subprocess
import sys

import jupytext
import nbformat
import pytest
import yaml
from conftest import TINY

from acrlls.book import extension as book
from acrlls.book import sections
from acrlls.config import PROJECT, Config, configure
from acrlls.data import load_data, write_folder
from acrlls.figures import images
from acrlls.paper import CLASSES

SECTIONS = sorted((PROJECT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
each_section = pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)


def test_every_notebook_is_a_page_of_the_book():
    pages = [
        section.path.name for section in book._listed(PROJECT / "_toc.yml", PROJECT / "notebooks")
    ]
    assert sorted(pages) == [path.name for path in SECTIONS]


def test_the_books_folder_links_to_the_configuration_at_the_top():
    for name in ("_config.yml", "_toc.yml"):
        assert (PROJECT / "book" / name).resolve() == PROJECT / name
        assert yaml.safe_load((PROJECT / name).read_text("utf-8"))


@each_section
def test_a_notebook_equals_its_text_pair(path):
    pair = path.with_suffix(".md")
    assert pair.is_file(), f"jupytext --sync {path.name} makes it"
    assert cells(nbformat.read(path, as_version=4)) == cells(jupytext.read(pair)), (
        f"jupytext --sync {path.name}"
    )


def cells(notebook):
    return [
        (cell.cell_type, cell.source, sorted(cell.metadata.get("tags", [])))
        for cell in notebook.cells
    ]


@each_section
def test_a_notebook_is_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@each_section
def test_a_code_cell_is_at_most_ten_lines_of_a_hundred_columns(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            assert len(lines) <= 10, cell.source
            assert max(map(len, lines), default=0) <= 100, cell.source


@each_section
def test_cells_that_show_radiographs_are_tagged_so_that_the_dark_theme_inverts_none(path):
    shows = re.compile(rf"\b({'|'.join(name for name in vars(images) if name[:5] == 'plot_')})\(")
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and shows.search(cell.source):
            assert "pictures" in cell.metadata.tags, cell.source


@each_section
def test_parameters_and_imports_are_collapsed_and_come_before_all_else(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert {"parameters", "hide-input"} <= set(code[0].metadata.tags)
    for cell in code[1:]:
        if cell is code[1] or "import " in cell.source:
            assert "hide-input" in cell.metadata.get("tags", []), cell.source
    imports = [k for k, cell in enumerate(code) if re.search(r"^(from|import) ", cell.source, re.M)]
    assert imports and max(imports) <= 2


@each_section
def test_links_stand_in_the_text_where_the_book_resolves_them(path):
    """A link to a page inside a cell's output reaches the reader as it is, and dead."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type != "code" or not re.search(
            r"\]\([^)]*\.(md|ipynb)|\{(ref|cite)\}`", cell.source
        )


@each_section
def test_a_notebook_has_one_parameters_cell_and_it_begins_with_the_profile(path):
    notebook = nbformat.read(path, as_version=4)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    parameters = sections.Section(path).parameters
    assert next(iter(parameters.items())) == ("profile", "'quick'")


@each_section
def test_settings_are_read_from_the_config_where_none_stands_for_the_profiles(path):
    section = sections.Section(path)
    code = [
        c for c in section.cells if c.cell_type == "code" and "parameters" not in str(c.metadata)
    ]
    nodes = [node for c in code for node in ast.walk(ast.parse(c.source.replace("%", "#")))]
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    assert not read & (section.parameters.keys() & Config.__dataclass_fields__.keys())


@pytest.fixture(scope="module")
def tiny_profile(tmp_path_factory):
    """A profile of a few seconds; the sections share their runs in the tests' store."""
    folder = tmp_path_factory.mktemp("tiny")
    profile = folder / "tiny.yml"
    profile.write_text(yaml.safe_dump({"profile": "quick", **TINY}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACRLLS_PROFILE", str(profile))
        patch.setenv(
            "ACRLLS_ENGINE", "keras"
        )  # as where only the book's requirements are installed
        yield folder


# What takes most of a section's time and changes none of its code.
QUICKER = {
    "ablation": {"phase2_epochs": 0},
    "estimators": {"sizes": [100, 1000], "size": 1000, "repetitions": 3},
    "ledger": {"resamples": 50, "search": "table_III"},
}


# those that read records have the same settings in the book; calibration runs below
READING = {"00", "06", "09", "11", "12", "13", "14", "15", "17"}
TRAINING = [path for path in SECTIONS if path.stem[:2] not in READING]


def executed(path, folder):
    """A section as executed in a folder with quick parameters; its cells may warn of nothing."""
    section = sections.Section(path)
    quicker = QUICKER.get(section.slug, {})
    assert quicker.keys() <= section.parameters.keys()
    notebook = sections.execute(section, folder / "out.ipynb", quicker, cwd=folder, progress=False)
    assert not sections.stderr(notebook)
    return notebook


@pytest.mark.thorough  # the book runs them too
@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_section_runs_with_tiny_settings(path, tiny_profile, tmp_path):
    executed(path, tmp_path)


@pytest.mark.thorough
def test_plain_papermill_runs_the_calibration_section_with_other_bins(tiny_profile, tmp_path):
    path = sections.find("calibration").path
    command = [sys.executable, "-m", "papermill", str(path), "out.ipynb", "-p", "bins", "20"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not sections.stderr(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert [f.name for f in tmp_path.iterdir()] == [
        "out.ipynb"
    ]  # kept runs go to the store, never beside the caller


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
def test_a_section_says_how_long_it_takes_and_leaves_three_things(path):
    text = path.with_suffix(".md").read_text("utf-8")
    assert re.search(r"^\*About \d+ minutes\. Afterwards you can ", text, re.M)
    taken = text.split("## To take away")[1].split("## Try this")[0]
    assert len(re.findall(r"^- ", taken, re.M)) == 3


OF_THE_BUILD = [
    p for p in SECTIONS if p.stem[:2] in ("01", "02", "03", "04", "05", "06", "07", "08", "16")
]


@pytest.mark.thorough
@pytest.mark.parametrize("path", OF_THE_BUILD, ids=lambda path: path.stem)
def test_a_section_runs_on_other_classes_and_compares_nothing(
    path, tiny_profile, tmp_path, monkeypatch
):
    drawn = load_data(configure("quick", data="phantom", phantom_images=120, image_size=48))
    names = dict.fromkeys(CLASSES, "Ill <b>") | {"Normal": "Normal"}
    monkeypatch.setenv("ACRLLS_DATA", str(write_folder(drawn, tiny_profile / "two", 120, names)))
    notebook, slug = executed(path, tmp_path), sections.Section(path).slug
    shown = [str(o.get("data", "")) for c in notebook.cells for o in c.get("outputs", [])]
    assert not any(re.search(r"\bnan\b|>published<[^/]*/th>.{0,900}>Ill b<", s) for s in shown)
    assert slug == "your_images" or any("other classes than the paper" in s for s in shown)
