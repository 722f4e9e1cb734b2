"""A section is executed when what it depends on changed; only success reaches the book."""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from conftest import write_cells

from acrlls import backend
from acrlls.book import extension, sections, workers
from acrlls.config import PROJECT, UserError, environment_path

PARAMETERS = ('profile = "quick"\nbins = None', ["parameters"])


def section(path):
    return sections.Section(path)


# Sections and their parameters


def test_a_section_knows_its_name_title_and_parameters(tmp_path, write_notebook):
    path = write_notebook(
        tmp_path / "06_calibration.ipynb",
        "# Calibration\n\ntext",
        ("a = 1\nb: float = 2 * 3\nimport os", ["parameters"]),
    )
    found = section(path).name, section(path).slug, section(path).title
    assert found == ("06_calibration", "calibration", "Calibration")
    assert section(path).parameters == {"a": "1", "b": "2 * 3"}


def test_a_folder_without_notebooks_is_an_error_that_says_where(tmp_path):
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        sections.all_sections(tmp_path)


# Execution


def test_a_full_disk_leaves_the_output_as_it_was(tmp_path, write_notebook, monkeypatch):
    import papermill

    def full(source, output, **how):
        open(output, "w").close()  # as papermill, which writes over what is there
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", full)
    (tmp_path / "out.ipynb").write_text("from before")
    path = write_notebook(tmp_path / "01_a.ipynb", PARAMETERS)
    with pytest.raises(UserError, match="out.ipynb cannot be written: No space left on device"):
        sections.execute(section(path), tmp_path / "out.ipynb", progress=False)
    assert (tmp_path / "out.ipynb").read_text() == "from before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01_a.ipynb", "out.ipynb"]


def test_parameters_reach_the_section_and_the_source_stays_as_it_is(tmp_path, write_notebook):
    path = write_notebook(tmp_path / "01_a.ipynb", PARAMETERS, "print(bins)")
    before = path.read_bytes()
    notebook = sections.execute(section(path), tmp_path / "out.ipynb", {"bins": 20}, progress=False)
    assert notebook.cells[-1].outputs[0].text == "20\n"
    assert path.read_bytes() == before


def test_the_kernel_is_this_python_whatever_python3_means_on_the_machine(
    tmp_path, write_notebook, monkeypatch
):
    elsewhere = tmp_path / "jupyter" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text(
        '{"argv": ["/nowhere/python"], "display_name": "x", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    path = write_notebook(
        tmp_path / "01_a.ipynb", "import sys, acrlls\nprint(sys.executable, acrlls.__file__)"
    )
    notebook = sections.execute(section(path), tmp_path / "out.ipynb", progress=False)
    assert notebook.cells[0].outputs[0].text.split() == [
        sys.executable,
        str(PROJECT / "acrlls" / "__init__.py"),
    ]


def test_python_warnings_reach_the_page_and_what_libraries_print_does_not(tmp_path, write_notebook):
    path = write_notebook(
        tmp_path / "01_a.ipynb",
        "import os, warnings\nos.write(2, b'native')\nwarnings.warn('mind this')",
    )
    notebook = sections.execute(section(path), tmp_path / "out.ipynb", progress=False)
    ((cell, text),) = sections.stderr(notebook)
    assert cell == 1 and "mind this" in text and "native" not in text


def test_a_failing_cell_is_named_with_its_source_and_traceback(tmp_path, write_notebook):
    path = write_notebook(
        tmp_path / "01_a.ipynb", "# Title", "x = 1", "1 / (x - 1)", "print('never')"
    )
    with pytest.raises(sections.SectionFailed) as caught:
        sections.execute(section(path), tmp_path / "out.ipynb", progress=False)
    assert caught.value.cell == 3 and not caught.value.is_user_error
    assert "ZeroDivisionError" in str(caught.value)
    assert "1 / (x - 1)" in caught.value.report() and "Traceback" in caught.value.report()


def test_a_kernel_that_dies_is_a_failure_of_its_cell(tmp_path, write_notebook):
    path = write_notebook(
        tmp_path / "01_a.ipynb", "x = 1", "import os\nos.write(2, b'last words')\nos._exit(1)"
    )
    with pytest.raises(sections.SectionFailed) as caught:
        sections.execute(section(path), tmp_path / "out.ipynb", progress=False)
    assert caught.value.cell == 2 and "last words" in caught.value.report()


@pytest.mark.parametrize("name", ["DATA", "PROFILE", "STORE"])
def test_a_relative_path_means_the_same_in_a_kernel_that_starts_elsewhere(
    tmp_path, write_notebook, monkeypatch, name
):
    path = write_notebook(tmp_path / "01_a.ipynb", f"import os\nprint(os.environ['ACRLLS_{name}'])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"ACRLLS_{name}", "mine.yml")
    (tmp_path / "elsewhere").mkdir()
    notebook = sections.execute(
        section(path), tmp_path / "out.ipynb", cwd=tmp_path / "elsewhere", progress=False
    )
    assert notebook.cells[0].outputs[0].text.strip() == str(tmp_path / "mine.yml")


def test_names_of_data_and_profiles_are_no_paths(monkeypatch):
    monkeypatch.setenv("ACRLLS_DATA", "phantom")
    monkeypatch.setenv("ACRLLS_PROFILE", "laptop")
    monkeypatch.setenv("ACRLLS_STORE", "~/kept")
    said = [environment_path(f"ACRLLS_{name}") for name in ("DATA", "PROFILE", "STORE")]
    assert said == ["phantom", "laptop", os.path.expanduser("~/kept")]


# What makes a section stale


@pytest.fixture
def project(tmp_path, write_notebook):
    """A project of one section, one module and one result; and a folder of images."""
    for name in (*FILES, "data/COVID/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    write_notebook(tmp_path / "notebooks/01_a.ipynb", PARAMETERS)
    return tmp_path


FILES = ("acrlls/method/layers.py", "results/paper/history.csv")


def mark(project, parameters=None):
    one = section(project / "notebooks/01_a.ipynb")
    (found,) = sections.states([(one, parameters or {})], project)
    return found


@pytest.mark.parametrize("name", FILES)
def test_package_and_results_are_part_of_the_state(project, name):
    before = mark(project)
    assert mark(project) == before
    (project / name).write_text("22")
    assert mark(project) != before


def test_images_are_part_of_the_state_in_linked_folders_too(project, monkeypatch):
    (project / "set").mkdir()
    (project / "set/COVID").symlink_to(project / "data/COVID")
    (project / "data/COVID/loop").symlink_to(project / "data")
    monkeypatch.setenv("ACRLLS_DATA", str(project / "set"))
    before = mark(project)
    assert mark(project) == before
    (project / "data/COVID/1.png").write_text("22")
    assert mark(project) != before


@pytest.mark.parametrize("by", ["environment", "parameter"])
def test_a_profile_of_ones_own_and_what_it_starts_from_are_part_of_the_state(
    project, monkeypatch, by
):
    base, mine = project / "base.yml", project / "mine.yml"
    base.write_text("profile: quick\nphase1_epochs: 2")
    mine.write_text(f"profile: {base}\nbins: 9")
    parameters = {"profile": str(mine)} if by == "parameter" else {}
    if by == "environment":
        monkeypatch.setenv("ACRLLS_PROFILE", str(mine))
    seen = {mark(project, parameters)}
    mine.write_text(f"profile: {base}\nbins: 10")
    seen.add(mark(project, parameters))
    base.write_text("profile: quick\nphase1_epochs: 9")
    seen.add(mark(project, parameters))
    assert len(seen) == 3


def test_weights_of_ones_own_are_part_of_the_state(project):
    weights = project / "weights.h5"
    (project / "mine.yml").write_text(f"profile: quick\nbackbone: {weights}\n")
    for parameters in ({"profile": str(project / "mine.yml")}, {"backbone": str(weights)}):
        seen = set()
        for text in ("one", "two"):
            weights.write_text(text)
            seen.add(mark(project, parameters))
        assert len(seen) == 2


def test_an_image_in_anothers_place_is_seen_whatever_its_size_and_time(project, monkeypatch):
    monkeypatch.setenv("ACRLLS_DATA", str(project / "data"))
    image, before = project / "data/COVID/1.png", mark(project)
    times = image.stat()
    image.write_text("2")
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert mark(project) != before


def test_choices_in_the_environment_are_part_of_the_state(project, monkeypatch):
    seen = {mark(project)}
    for name, value in (("ACRLLS_ENGINE", "keras"), ("KERAS_BACKEND", "x"), ("ACRLLS_DATA", "y")):
        monkeypatch.setenv(name, value)
        seen.add(mark(project))
    assert len(seen) == 4


def test_the_backend_of_keras_own_settings_is_part_of_the_state(project, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    before = mark(project)
    (tmp_path / "keras.json").write_text('{"backend": "tensorflow"}')  # as Keras writes it at first
    assert mark(project) == before
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert mark(project) != before
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # goes before the file
    assert backend.chosen() == "tensorflow"


def test_the_precision_of_keras_own_settings_is_part_of_the_state(project, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)  # as where a build begins
    before = mark(project)
    (tmp_path / "keras.json").write_text('{"floatx": "float32"}')
    assert mark(project) == before
    (tmp_path / "keras.json").write_text('{"floatx": "float64"}')
    assert mark(project) != before


def test_caches_of_python_are_no_part_of_the_state(project):
    before = mark(project)
    (project / "acrlls" / "__pycache__").mkdir()
    (project / "acrlls" / "__pycache__" / "layers.cpython-312.pyc").write_text("1")
    assert mark(project) == before


def test_notebook_and_parameters_are_part_of_the_state(project, write_notebook):
    seen = {mark(project), mark(project, {"bins": 20})}
    write_notebook(project / "notebooks/01_a.ipynb", PARAMETERS, "1 + 1")
    assert len(seen | {mark(project)}) == 3


# Whole builds of a small book with the project's own configuration


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project of two sections with its own copy of the package, built once; tests copy it."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(
        PROJECT / "acrlls", root / "acrlls", ignore=shutil.ignore_patterns("__pycache__")
    )
    (root / "book").mkdir()
    shutil.copytree(PROJECT / "book" / "_static", root / "book" / "_static")
    config = yaml.safe_load((PROJECT / "_config.yml").read_text())
    config["sphinx"]["config"]["acrlls_parameters"] = {"all": {"bins": 12}}
    (root / "book" / "_config.yml").write_text(yaml.safe_dump(config))
    pages = ["sections/02_b", "sections/01_a", "sections/status"]
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": page} for page in pages]}
    (root / "book" / "_toc.yml").write_text(yaml.safe_dump(toc))
    (root / "book" / "index.md").write_text(
        "# Book\n\n{doc}`sections/01_a` {cite}`a`\n\n```{include} sections/findings.md\n```\n\n"
        "```{bibliography}\n```\n"
    )
    (root / "book" / "references.bib").write_text(
        "@article{a, author={A. Bee}, title={T}, journal={J}, year={2020}}"
    )
    write = write_cells(root)
    write("01_a", "# First\n\n$x^2$", PARAMETERS, "print('bins are', bins)")
    finding = "from IPython.display import Markdown\nMarkdown(f'Two and two\\nmake {2 + 2}.')"
    write("02_b", "# Second", "print('second')", (finding, ["finding"]))
    outcome = build(root, ACRLLS_JOBS="1")
    assert outcome.returncode == 0, outcome.text
    return root, outcome.text


BUILD = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "book"]


def build(root, *flags, strict=True, **environment):
    """`jupyter-book build book`, with warnings as errors if ``strict``."""
    command = [*BUILD, *(["-W"] if strict else []), *flags]
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 300}
    outcome = subprocess.run(command, cwd=root, env=environment, **how)
    outcome.text = outcome.stdout
    return outcome


@pytest.fixture
def copy(built, tmp_path):
    return shutil.copytree(built[0], tmp_path / "copy")


@pytest.mark.slow
def test_sections_are_executed_in_the_order_of_the_contents_and_reach_the_pages(built):
    root, text = built
    assert "2 to execute, 0 unchanged" in text
    assert text.index("section 02_b: ") < text.index("section 01_a: ") < text.index(" s, 1 at once")
    page = (root / "book/_build/html/sections/01_a.html").read_text()
    assert "bins are 12" in page
    # papermill's cell is there, unseen
    assert "Parameters</span>" not in page and "injected" not in page
    assert "injected-parameters" in (root / "book/sections/01_a.ipynb").read_text()
    assert str(root) not in (root / "book/sections/01_a.ipynb").read_text()
    status = (root / "book/_build/html/sections/status.html").read_text()
    assert "First" in status and "Second" in status


@pytest.mark.slow
def test_what_a_section_found_stands_on_the_front_page(built):
    page = (built[0] / "book/_build/html/index.html").read_text()
    assert "Two and two make 4." in page and 'href="sections/02_b.html"' in page


@pytest.mark.slow
def test_what_is_unchanged_is_not_executed_and_an_edit_of_the_package_executes_all(copy):
    outcome = build(copy)
    assert outcome.returncode == 0, outcome.text
    assert "0 to execute, 2 unchanged" in outcome.text
    with open(copy / "acrlls" / "config.py", "a") as module:
        module.write("# edited")
    outcome = build(copy)
    assert outcome.returncode == 0, outcome.text
    assert "2 to execute, 0 unchanged" in outcome.text


@pytest.mark.thorough
def test_an_edited_script_reaches_every_page_though_no_page_is_out_of_date(copy):
    script, pages = copy / "book" / "_static" / "sort.js", copy / "book" / "_build" / "html"
    named = re.compile(r"_static/sort\.js\?v=\w+")
    build(copy)  # a moved project is written anew
    before = {
        page: named.search(page.read_text("utf-8")).group() for page in pages.rglob("0*.html")
    }
    assert len(before) == 2
    with script.open("a", encoding="utf-8") as file:
        file.write("// edited\n")
    outcome = build(copy)
    assert outcome.returncode == 0 and "0 to execute, 2 unchanged" in outcome.text, outcome.text
    assert (pages / "_static" / "sort.js").read_text("utf-8").endswith("// edited\n")
    for page, was in before.items():  # the name changes, so no browser keeps the old script
        assert named.search(page.read_text("utf-8")).group() != was


@pytest.mark.thorough
def test_sections_are_executed_at_once_and_those_that_take_longest_begin(copy):
    meet = """import pathlib, time
here, there = (pathlib.Path({folder!r}) / name for name in {names})
here.touch()
end = time.monotonic() + 100
while not there.exists():
    assert time.monotonic() < end, "the other section does not run"
    time.sleep(0.05)"""
    for name, names in {"01_a": ("a", "b"), "02_b": ("b", "a")}.items():
        write_cells(copy)(name, "# Title", PARAMETERS, meet.format(folder=str(copy), names=names))
    outcome = build(copy, ACRLLS_JOBS="2")
    assert outcome.returncode == 0, outcome.text
    assert " s, 2 at once" in outcome.text
    for name in ("01_a", "02_b"):
        write_cells(copy)(name, "# Title", PARAMETERS, "print('again')")
    config = yaml.safe_load((copy / "book" / "_config.yml").read_text())
    config["sphinx"]["config"]["acrlls_first"] = ["01_a", "02_b"]  # the contents have 02_b first
    (copy / "book" / "_config.yml").write_text(yaml.safe_dump(config))
    text = build(copy, ACRLLS_JOBS="1").text
    assert text.index("section 01_a: ") < text.index("section 02_b: ")


@pytest.mark.thorough
def test_after_a_failure_no_other_section_begins(copy):
    write_cells(copy)("01_a", "# First", PARAMETERS, "print('changed')")
    write_cells(copy)("02_b", "# Second", "raise ValueError('on purpose')")
    # with -W, Sphinx itself ends at the first error
    outcome = build(copy, strict=False, ACRLLS_JOBS="1")
    assert outcome.returncode != 0
    assert "section 02_b failed" in outcome.text and "section 01_a" not in outcome.text
    assert "changed" not in (copy / "book/sections/01_a.ipynb").read_text()


KILLER = """import os, pathlib, signal
def end(app, page, *_):
    if page in os.environ.get("KILL", ""):
        pathlib.Path(app.outdir, "index.html").write_text("<html>")  # as in the middle of writing
        for picture in pathlib.Path(app.outdir).parent.glob("jupyter_execute/*.svg"):
            picture.write_text("<svg")
        os.kill(os.getpid(), signal.SIGKILL)
def setup(app):
    app.connect("html-page-context", end)
"""


@pytest.mark.thorough
def test_a_build_after_one_that_was_killed_while_it_wrote_pages_writes_all(copy):
    (copy / "killer.py").write_text(KILLER)
    config = yaml.safe_load((copy / "book" / "_config.yml").read_text())
    config["sphinx"]["extra_extensions"].append("killer")
    (copy / "book" / "_config.yml").write_text(yaml.safe_dump(config))
    figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    write_cells(copy)("02_b", "# Second", "print('second')", figure)
    html = copy / "book/_build/html"
    assert build(copy, KILL="sections/02_b").returncode < 0
    assert (html / "index.html").read_text() == "<html>"
    outcome = build(copy)
    assert outcome.returncode == 0, outcome.text
    assert "sections/01_a.html" in (html / "index.html").read_text()
    assert all("</svg>" in picture.read_text() for picture in html.glob("_images/*.svg"))
    assert "0 added, 0 changed" in build(copy).text


@pytest.mark.thorough
def test_a_build_after_some_that_were_killed_at_random_moments_gives_the_same_pages(copy, built):
    moments, html = random.Random(0), Path("book", "_build", "html")
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    shutil.rmtree(copy / "book" / "_build")
    shutil.rmtree(copy / "book" / "sections")
    for k in range(8):  # a build takes about ten seconds or longer, and the first ones import alone
        running = subprocess.Popen(
            BUILD, cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(moments.uniform(1, 4 + 2 * k))
        running.kill()
        running.wait()
    outcome = build(copy)
    assert outcome.returncode == 0, outcome.text
    for page in ("index.html", "sections/01_a.html", "sections/02_b.html"):
        assert (copy / html / page).read_text() == (built[0] / html / page).read_text(), page
    assert "0 to execute, 2 unchanged" in build(copy).text


@pytest.mark.thorough
def test_of_two_builds_at_once_the_second_waits_and_executes_nothing_again(copy):
    write_cells(copy)("02_b", "# Second", "import time; time.sleep(9)")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(build, [copy, copy]))
    assert [outcome.returncode for outcome in both] == [0, 0], both[0].text + both[1].text
    waited = ["another build of this book is at work" in outcome.text for outcome in both]
    assert sorted(waited) == [False, True]
    assert "0 to execute, 2 unchanged" in both[waited.index(True)].text


def test_what_a_worker_of_a_killed_build_executes_is_waited_for_and_taken(tmp_path, monkeypatch):
    section = write_cells(tmp_path)("01_a", "# First")
    aside, folder = tmp_path / "unfinished" / section.name, tmp_path / "sections"
    tasks = [workers.Task(sections.Section(section), {}, s, aside, folder) for s in "abb"]
    began, calls = threading.Event(), []

    def execute(section, aside, parameters, **where):
        calls.append(began.set())
        time.sleep(0.2)
        return nbformat.read(section.path, as_version=4)

    monkeypatch.setattr(workers, "execute", execute)
    with ThreadPoolExecutor(1) as pool:
        orphan = pool.submit(workers._bring, tasks[0], 1)
        began.wait(60)
        notebooks = [workers._bring(task, 1)[1] for task in tasks[1:]]
        orphan.result()
    assert [notebook.metadata.acrlls.state for notebook in notebooks] == ["b", "b"]
    assert len(calls) == 2 and workers.fresh(folder / section.name, "b")


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_an_impossible_number_of_sections_at_once_is_an_error_that_names_it(monkeypatch, value):
    monkeypatch.setenv("ACRLLS_JOBS", value)
    with pytest.raises(UserError, match=f"ACRLLS_JOBS is '{value}'"):
        workers.jobs()


@pytest.mark.slow
def test_a_failing_section_fails_the_build_and_is_never_taken_for_fresh(copy):
    kept = (copy / "book/sections/01_a.ipynb").read_bytes()
    write_cells(copy)("01_a", "# First", PARAMETERS, "raise ValueError('on purpose')")
    for _ in range(2):
        outcome = build(copy)
        assert outcome.returncode != 0
        assert "1 to execute, 1 unchanged" in outcome.text
        assert "section 01_a failed in cell 4" in outcome.text
        assert "raise ValueError('on purpose')" in outcome.text and "Traceback" in outcome.text
        assert (copy / "book/sections/01_a.ipynb").read_bytes() == kept


@pytest.mark.thorough
def test_one_build_that_keeps_going_shows_every_failing_section(copy):
    write_cells(copy)("01_a", "# First", PARAMETERS, "raise ValueError('one')")
    write_cells(copy)("02_b", "# Second", "raise ValueError('two')")
    outcome = build(copy, "--keep-going")
    assert outcome.returncode != 0
    assert "section 01_a failed" in outcome.text and "section 02_b failed" in outcome.text


@pytest.mark.thorough
def test_a_message_on_standard_error_is_a_warning_of_every_build(copy):
    write_cells(copy)("02_b", "# Second", "import warnings\nwarnings.warn('mind this')")
    for _ in range(2):
        outcome = build(copy, "--keep-going")
        assert outcome.returncode != 0
        assert "section 02_b wrote to standard error in cell 2" in outcome.text
        assert "mind this" in outcome.text
    assert "mind this" in (copy / "book/_build/html/sections/02_b.html").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"01_b": {"bins": 3}}, "there is no section '01_b'; did you mean '01_a'"),
        ({"all": {"binz": 3}}, "no section has the parameter 'binz'; did you mean 'bins'"),
        ({"01_a": {"binz": 3}}, "01_a has no parameter 'binz'; did you mean 'bins'"),
        ({"01_a": None}, "it must hold sections, each with"),
        (["bins"], "it must hold sections, each with"),
    ],
)
def test_parameters_that_would_reach_no_section_are_refused(tmp_path, write_notebook, given, said):
    one = section(write_notebook(tmp_path / "01_a.ipynb", PARAMETERS))
    found = extension._parameters({"all": {"bins": 3}, "01_a": {"bins": 4}}, [one])
    assert found == {one: {"bins": 4}}
    with pytest.raises(UserError, match=said):
        extension._parameters(given, [one])


def test_relative_paths_among_the_parameters_count_from_where_the_build_starts(
    tmp_path, write_notebook, monkeypatch
):
    one = section(write_notebook(tmp_path / "01_a.ipynb", ('profile = "quick"', ["parameters"])))
    monkeypatch.chdir(tmp_path)
    found = extension._parameters({"01_a": {"profile": "short.yml"}}, [one])
    assert found == {one: {"profile": str(tmp_path / "short.yml")}}


@pytest.mark.parametrize("free", [10**7, OSError(30, "Read-only file system")])
def test_a_disk_that_refuses_ends_the_build_with_a_message(tmp_path, monkeypatch, free):
    def usage(folder):
        if isinstance(free, OSError):
            raise free
        return SimpleNamespace(free=free)

    monkeypatch.setattr(extension.shutil, "disk_usage", usage)
    said = []
    monkeypatch.setattr(extension, "_log", lambda: SimpleNamespace(error=lambda *a: said.append(a)))
    (tmp_path / "_toc.yml").write_text("root: index")
    app = SimpleNamespace(srcdir=tmp_path, outdir=tmp_path / "out", connect=lambda *a, **how: None)
    config = {"external_toc_path": "_toc.yml", "acrlls_notebooks": ".", "acrlls_parameters": {}}
    with pytest.raises(SystemExit):
        extension.bring_sections(app, SimpleNamespace(**config))
    ((_, error),) = said
    assert ("100 MB free" if free == 10**7 else "Read-only") in str(error)


def test_a_page_without_its_notebook_is_named(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("parts: [{chapters: [{file: intro}, {file: sections/02_b}]}]")
    with pytest.raises(UserError, match="sections/02_b, but there is no notebook"):
        extension._listed(toc, tmp_path)
