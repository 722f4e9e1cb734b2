"""A mistake that a user can make at the command line is a message, never a traceback."""

import io
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from acrlls import cli, doctor
from acrlls.book import sections
from acrlls.config import PROJECT, UserError, configure
from acrlls.data import load_data, split_of


@pytest.fixture
def notebooks(tmp_path, monkeypatch, write_notebook):
    """Two sections in place of the project's own; the test runs in an empty folder beside them."""
    parameters = ('profile = "quick"\nbins = None\nalpha = None', ["parameters"])
    code = "import acrlls\nc = acrlls.configure_from(globals())\nprint(c.bins, c.alpha)"
    fails, folder = "raise ValueError('on purpose')", tmp_path / "notebooks"
    write_notebook(folder / "06_calibration.ipynb", "# Calibration", parameters, code)
    write_notebook(folder / "07_ablation.ipynb", "# Ablation", parameters, fails)
    monkeypatch.setattr(sections, "NOTEBOOKS", folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def refused(capsys, *arguments):
    """Status and message of a command that must not end in a traceback."""
    try:
        status = cli.main(list(arguments))
    except SystemExit as exit:  # argparse's way
        status = exit.code
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return status, message


@pytest.mark.parametrize(
    "name", ["calibration", "06_calibration", "6", "06", "notebooks/06_calibration.ipynb"]
)
def test_a_section_goes_by_its_name_its_number_and_its_path(notebooks, name):
    assert sections.find(name).name == "06_calibration"


def test_run_executes_a_section_with_parameters_from_any_folder(notebooks, tmp_path, capsys):
    assert cli.main(["run", "calibration", "-p", "bins", "20", "-p", "alpha", "1e-1"]) == 0
    executed = nbformat.read(tmp_path / "elsewhere" / "out_06_calibration.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "20 0.1\n"
    assert capsys.readouterr().out == "out_06_calibration.ipynb\n"


def test_a_failing_cell_is_shown_and_the_status_is_1(notebooks, capsys):
    assert cli.main(["run", "ablation"]) == 1
    message = capsys.readouterr().err
    assert "section 07_ablation failed in cell 3" in message
    assert "raise ValueError('on purpose')" in message


def test_an_error_of_the_users_inside_a_section_is_its_message_alone(
    notebooks, write_notebook, capsys
):
    write_notebook(
        notebooks / "08_gradcam.ipynb", "import acrlls\nacrlls.configure('quick', bins=-1)"
    )
    status, message = refused(capsys, "run", "gradcam")
    assert status == 1 and "bins is -1" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "calibratoin"], "did you mean 'calibration'?"),
        (["run", "9"], "known: calibration, ablation"),
        (["run", "calibration", "-p", "bin", "20"], "has no parameter 'bin'; did you mean 'bins'?"),
        (["run", "calibration", "-p", "tau", "0.2"], "known: profile, bins, alpha"),
        (
            ["run", "calibration", "-p", "bins", "many"],
            "bins is 'many'; it must be a whole number from 1 to 1000",
        ),
        (["run", "calibration", "-p", "alpha", "-1"], "alpha is -1"),
        (["run", "calibration", "-p", "profile", "fast"], "profile 'fast' does not exist"),
        (["run", "calibration", "-p", "bins"], "expected 2 arguments"),
        (["run", "calibration", "-o", "out.html"], "must end in .ipynb"),
        (["run", "calibration", "-p", "bins", "20", "-p", "bins", "10"], "'bins' is given 2 times"),
        (["run", "../notebooks/../06_calibration.ipynb"], "is no section"),
        (["run", "/nowhere/06_calibration.ipynb"], "is no section"),
        (["run", "calibration", "-p", "bins", "-" * 20_000], "bins is '---"),
        (["run"], "SECTION"),
        (["rnu"], "invalid choice"),
        ([], "COMMAND"),
        (["reproduce", "--variants", "best"], "invalid choice: 'best'"),
        (["reproduce", "-p", "alhpa", "1"], "did you mean 'alpha'?"),
        (["reproduce", "--profile", "fast"], "profile 'fast' does not exist"),
        (["doctor", "--profile", "fast"], "profile 'fast' does not exist"),
        (["bench", "--images", "0"], "0 images; it takes 120 at least"),
        (["bench", "--profile", "quick", "-o", cli.__file__], "cannot be a folder"),
        (["reproduce", "--data", "x", "--variants", "baseline"], "leave out --variants"),
        (["reproduce", "--data", "x", "-p", "data", "y"], "leave out --variants and -p data"),
        (["reproduce", "--data", "x", "--seeds", "1", "2"], "one value a setting"),
        (["reproduce", "--data", "x", "-p", "alpha", "[0.1, 0.2]"], "one value a setting"),
        (["reproduce", "--data", ""], "data is ''"),
        (["reproduce", "--data", "phantom", "-o", "x"], "leave it out and give -p data phantom"),
        (["reproduce", "-p", "variant", "baseline"], "did you mean '--variants'?"),
        (["reproduce", "-p", "profile", "paper"], "did you mean '--profile'?"),
        (["bench", "-p", "profile", "paper"], "did you mean '--profile'?"),
        (["reproduce", "-o", "r-{seed.x}"], "names a setting that there is not"),
        (["reproduce", "-o", "r-{seed[0]}"], "names a setting that there is not"),
        (["reproduce", "-o", "r", "-p", "alpha", "[0.1, 0.2]"], "give -o 'r-{alpha}'"),
    ],
)
def test_wrong_usage_is_refused_with_status_2_before_anything_runs(
    notebooks, capsys, arguments, said
):
    status, message = refused(capsys, *arguments)
    assert status == 2 and said in message
    assert not list((notebooks.parent / "elsewhere").iterdir())


def test_the_section_itself_is_never_overwritten(notebooks, capsys):
    before = (notebooks / "06_calibration.ipynb").read_bytes()
    status, message = refused(
        capsys, "run", "calibration", "-o", str(notebooks / "06_calibration.ipynb")
    )
    assert status == 2 and (notebooks / "06_calibration.ipynb").read_bytes() == before


def test_only_an_executed_section_gives_way_to_another(notebooks, capsys):
    assert cli.main(["run", "calibration", "-o", "{a}.ipynb"]) == 0  # no setting is meant
    assert cli.main(["run", "calibration", "-o", "{a}.ipynb"]) == 0
    Path("mine.ipynb").write_text("precious")
    for name in ("mine.ipynb", str(notebooks / "07_ablation.ipynb")):
        status, message = refused(capsys, "run", "calibration", "-o", name)
        assert status == 2 and "is no executed section" in message
    assert Path("mine.ipynb").read_text() == "precious"


def test_a_notebook_elsewhere_is_not_taken_for_the_section_of_its_name(notebooks, capsys):
    Path("06_calibration.ipynb").write_text("{}")
    for name in ("06_calibration.ipynb", "./06_calibration.ipynb"):
        status, message = refused(capsys, "run", name)
        assert status == 2 and "is no section; run a notebook of your own" in message


def test_what_a_folder_is_called_is_text(notebooks):
    values = cli._values([("data", "1.10"), ("seed", "1"), ("backbone", "None")], cli.SETTINGS, "")
    assert values == {"data": "1.10", "seed": 1, "backbone": None}
    texts = {"recorded": "2024", "search": "7"}
    assert cli._values([*texts.items()], texts, "section ledger") == texts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("0.08", 0.08),
        ("1e-3", 1e-3),
        ("None", None),
        ("true", True),
        ("False", False),
        ("0..1", "0..1"),
        ("[0.1, 0.2]", [0.1, 0.2]),
        ("0.1, 0.2", [0.1, 0.2]),
        ("proposed", "proposed"),
        ("/data/x", "/data/x"),
        ("'20'", "20"),
        ("{5}", "{5}"),
        ("[1, {2}]", "[1, {2}]"),
        ("b'x'", "b'x'"),
        ("1j", "1j"),
        ("[(1, 2)]", [[1, 2]]),
    ],
)
def test_values_read_as_what_they_look_like(text, value):
    assert cli._value(text) == value and type(cli._value(text)) is type(value)


def test_a_value_may_begin_with_a_dash(capsys):
    given = ["-p", "input_range", "-1..1", "-p", "alpha", "-1"]
    assert cli.main(["reproduce", "--profile", "quick", *given]) == 2
    assert "alpha is -1; it must be" in capsys.readouterr().err


def test_sections_lists_each_with_its_parameters(notebooks, capsys):
    assert cli.main(["sections"]) == 0
    listed = capsys.readouterr().out
    assert "06_calibration" in listed and "Calibration" in listed and "bins=None" in listed


@pytest.mark.thorough
def test_doctor_finds_the_quick_profile_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("ACRLLS_DATA", raising=False)
    assert cli.main(["doctor"]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["ok"] * 6
    assert re.search(r"quick (under )?\d+, laptop \d+, paper \d+;", said)


def test_doctor_names_a_data_folder_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("ACRLLS_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr(doctor, "_minutes", lambda config: 1.0)  # it needs the data as well
    assert cli.main(["doctor"]) == 1
    problems = re.findall("^problem .*", capsys.readouterr().out, re.M)
    assert any("nowhere" in problem for problem in problems)


def test_doctor_counts_images_and_equal_files_and_names_what_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    for k, name in enumerate(("Normal", "Ill")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(20):
            image = Image.new("L", (8, 8), 0 if k and i in (0, 19) else 1 + i + 20 * k)
            image.save(tmp_path / "own" / name / f"{name}-{i}.png")
    (tmp_path / "own" / "Ill" / "scan.dcm").write_text("")
    config = configure("quick", data=str(tmp_path / "own"))
    said = doctor._data(config)
    assert said.startswith("40 images: Ill 20, Normal 20; 2 files equal another")
    assert "`Ill/scan.dcm`" in said


_TEXTS = "xl/sharedStrings.xml"


def _workbook(file, texts, member=_TEXTS, how=zipfile.ZIP_DEFLATED):
    """An .xlsx with some texts and no more."""
    start = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    cells = "".join(f"<si><t>{text}</t></si>" for text in texts)
    with zipfile.ZipFile(file, "w", how) as book:
        book.writestr(member, f"{start}{cells}</sst>")


@pytest.fixture
def kaggle_like(tmp_path, monkeypatch):
    """A folder as Kaggle's archive unpacks: two classes, each with a folder ``images``."""
    monkeypatch.setenv("ACRLLS_STORE", str(tmp_path / "store"))
    for name in ("Lung_Opacity", "Normal"):
        (tmp_path / "set" / name / "images").mkdir(parents=True)
        for i in range(10):
            image = Image.new("L", (8, 8), i + 10 * len(name))
            image.save(tmp_path / "set" / name / "images" / f"{name}-{i}.png")
    return tmp_path / "set"


def test_doctor_names_the_sources_that_lie_beside_the_class_folders(kaggle_like):
    config = configure("quick", data=str(kaggle_like))
    assert "No files of sources (`<Class>.metadata.xlsx`)" in doctor._data(config)
    texts = ["FILE NAME", "URL", "Normal-1", "PNG", "https://b.org/x?a=1&amp;b=2", "http://a.org/1"]
    _workbook(kaggle_like / "Normal.metadata.xlsx", texts)
    said = doctor._data(config)
    assert "Normal: http://a.org/1, https://b.org/x?a=1&b=2." in said and "schemas" not in said
    assert "Lung Opacity: the file cannot be read (No such file" in said
    # of many pages the hosts
    _workbook(kaggle_like / "Lung_Opacity.metadata.xlsx", [f"https://c.org/{i}" for i in range(9)])
    assert "Lung Opacity: c.org; Normal: http://a.org/1" in doctor._data(config)
    many = [f"https://{i:02d}.org/" for i in range(40)]
    _workbook(kaggle_like / "Normal.metadata.xlsx", [*many, "https://00.org/\x1b[2J" + "y" * 999])
    assert "Normal: 00.org, 01.org, 02.org, 03.org, 04.org, 05.org and 34 more." in doctor._data(
        config
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[:40]),
            "cannot be read (File is not a zip",
        ),
        (lambda file: file.write_bytes(b""), "cannot be read (File is not a zip"),
        (lambda file: _workbook(file, [], "xl/workbook.xml"), f"no item named '{_TEXTS}'"),
        (lambda file: _workbook(file, ["Normal-1"]), "names no address"),
        (lambda file: _workbook(file, [" " * 2**24]), "larger than 16 MB"),
        (lambda file: _workbook(file, [" " * 99], how=zipfile.ZIP_BZIP2), "packed as no workbook"),
    ],
    ids=["cut", "empty", "no texts", "no address", "a bomb", "another packing"],
)
def test_doctor_says_why_a_file_of_sources_tells_none(damage, said, kaggle_like):
    file = kaggle_like / "Normal.metadata.xlsx"
    _workbook(file, ["https://a.org"])
    damage(file)
    told = doctor._data(configure("quick", data=str(kaggle_like)))
    assert "Normal: the file " in told and said in told


def test_doctor_finds_a_near_copy_of_a_training_image_in_the_test_set(tmp_path):
    rng, files = np.random.default_rng(0), {}
    for name in ("Ill", "Normal"):
        (tmp_path / name).mkdir()
        for i in range(20):
            files[name, i] = tmp_path / name / f"{i:02d}.png"
            Image.fromarray(rng.integers(0, 256, (32, 32), "u1")).save(files[name, i])
    config = configure("quick", data=str(tmp_path))
    split, places = split_of(load_data(config), config), list(files.values())
    assert doctor._twins(config).startswith("0 of 6 test images")
    original = np.asarray(Image.open(places[split.train[3]]), float)
    Image.fromarray((20 + 0.8 * original).astype("u1")).save(places[split.test[2]])
    assert doctor._twins(config).startswith("1 of 6 test images")
    positions, alike = doctor.nearest(load_data(config), config)
    assert positions[2] == split.train[3] and alike.argmax() == 2


def test_missing_data_has_status_1(monkeypatch, capsys):
    def missing(options):
        """List what is not there."""
        raise UserError("no images in /nowhere")

    missing.__name__ = "sections"
    monkeypatch.setattr(cli, "COMMANDS", (missing,))
    monkeypatch.setattr(cli, "_arguments", lambda add: None)
    status, message = refused(capsys, "sections")
    assert status == 1 and "no images in /nowhere" in message


def test_the_installed_command_answers():
    answer = subprocess.run(
        [sys.executable, "-m", "acrlls.cli", "--help"], capture_output=True, text=True, cwd=PROJECT
    )
    assert answer.returncode == 0
    for command in cli.COMMANDS:
        assert f"\n    {command.__name__}" in answer.stdout


def test_a_record_among_the_images_would_be_a_class_and_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, message = refused(capsys, "reproduce", "--profile", "quick", "--data", ".")
    assert status == 2 and f"the record report-{tmp_path.name}" in message
    assert not list(tmp_path.iterdir())


def test_a_home_that_no_shell_expanded_is_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cli.main(["student", "3", "-o", "~/mine"]) == 0
    assert len(list((tmp_path / "home" / "mine").iterdir())) == 1 and not Path("~").exists()


@pytest.mark.parametrize("place", ["absolute", "relative"])
def test_a_profile_of_ones_own_is_recorded_by_its_name(tmp_path, monkeypatch, place):
    (tmp_path / "short.yml").write_text("profile: quick\n")
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("acrlls.runs.reproduce", lambda jobs, missing: asked.extend(jobs))
    profile = str(tmp_path / "short.yml") if place == "absolute" else "short.yml"
    assert cli.main(["reproduce", "--profile", profile, "--variants", "baseline"]) == 0
    assert asked == [PROJECT / "results" / "short" / "baseline"]


def test_a_setting_with_several_values_is_a_run_each(monkeypatch, capsys):
    jobs = []
    monkeypatch.setattr("acrlls.runs.reproduce", lambda found, missing: jobs.extend(found.items()))
    how = ["reproduce", "--profile", "quick", "--variants", "baseline"]
    lists = ["-p", "class_weights", "[true, false]", "-p", "grid_tau", "[0.1, 0.2]"]
    assert cli.main([*how, *lists]) == 0
    assert [c.class_weights for _, c in jobs] == [True, False]
    assert len({folder for folder, _ in jobs}) == 2
    assert {c.grid_tau for _, c in jobs} == {(0.1, 0.2)}  # is a list for a single run
    assert cli.main([*how, "-p", "seed", "[0, 1]", "--seeds", "2"]) == 2
    assert "given twice" in capsys.readouterr().err
    assert cli.main([*how, "-p", "alpha", "[]"]) == 2
    jobs.clear()
    assert cli.main([*how, "--seeds", "0", "1", "--seeds", "2"]) == 0
    assert [c.seed for _, c in jobs] == [0, 1, 2]  # none is dropped


def test_signs_that_the_output_has_no_code_for_are_escaped(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert cli.main(["claims", "ece", "--evidence"]) == 0
    sys.stdout.flush()
    assert rb"\u201c" in sys.stdout.buffer.getvalue()


def test_what_takes_long_is_told_first(monkeypatch, capsys):
    monkeypatch.setattr("acrlls.ledger.Ledger.search", lambda self, *words, **how: [])
    assert cli.main(["claims"]) == 0
    assert re.match(r"checking \d+ claims against the recorded runs", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("given", "work"),
    [(["run", "calibration"], "execute"), (["student", "noise_floor"], "write_student")],
)
def test_a_request_to_end_is_taken_as_an_interruption(notebooks, monkeypatch, given, work):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(f"acrlls.book.{work}", lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        assert cli.main(given) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
