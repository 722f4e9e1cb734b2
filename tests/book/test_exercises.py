"""The exercises: solutions pass their check, plausible mistakes fail it, copies hold neither."""

import re
import subprocess
import sys
import time

import nbformat
import pytest
from PIL import Image

from acrlls import cli
from acrlls.book import all_exercises, find
from acrlls.config import PROJECT

EXERCISES = all_exercises()
COPIES = PROJECT / "exercises"
PAGE, TEACHING, SLIDES = (
    (PROJECT / "book" / name).read_text("utf-8")
    for name in ("exercises.md", "teaching.md", "slides/index.md")
)
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
LINE = re.compile(
    r"\*\*Section (\d+) · (\d+) minutes\.\*\* \*Aim:\* (.+?)\. \*Prerequisites:\* (.+?)\.$"
)


def code(exercise, *without):
    """(tags, source) of the code cells that have none of some tags."""
    cells = [c for c in exercise.cells if c.cell_type == "code"]
    tagged = [(set(c.metadata.get("tags", [])), c.source) for c in cells]
    return [(tags, source) for tags, source in tagged if not tags & set(without)]


def run(cells):
    names = {}
    for _, source in cells:
        exec(source, names)
    return names


def about(exercise):
    """Section, minutes, aim and prerequisites, from the line below the title."""
    return LINE.match(exercise.cells[0].source.split("\n\n")[1].replace("\n", " "))


@each_exercise
def test_the_solution_passes_its_check(exercise, capsys):
    cells = code(exercise, "wrong")
    assert [tags & {"solution", "check"} for tags, _ in cells].count({"solution"}) == 1
    assert "assert " in cells[-1][1] and cells[-1][0] == {"check"}
    start = time.monotonic()
    run(cells)
    assert time.monotonic() - start < 60  # what the teacher's page says


def test_no_exercise_needs_more_than_the_small_installation():
    """The extra ``exercises``, which has neither Keras nor what comes with it."""
    solutions = ["\n".join(source for _, source in code(e, "wrong")) for e in EXERCISES]
    lines = (
        "import sys",
        "for name in ('keras', 'tensorflow', 'matplotlib', 'kagglehub'):",
        "    sys.modules[name] = None",
        f"for source in {solutions!r}:",
        "    exec(source, {})",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@each_exercise
def test_plausible_mistakes_fail_the_check_and_so_does_no_answer(exercise, capsys):
    mistakes = [source for tags, source in code(exercise) if "wrong" in tags]
    assert mistakes
    for mistake in mistakes:
        *before, check = code(exercise, "wrong", "solution")
        names = run([*before, ((), mistake)])
        with pytest.raises(AssertionError):
            exec(check[1], names)
    with pytest.raises(NameError):
        run(code(exercise, "wrong", "solution"))


@each_exercise
def test_the_students_copy_is_up_to_date_and_holds_no_solution(exercise, tmp_path, capsys):
    copy = (COPIES / f"{exercise.name}.ipynb").read_text("utf-8")
    assert cli.main(["student", exercise.slug, "-o", str(tmp_path)]) == 0
    assert (tmp_path / f"{exercise.name}.ipynb").read_text("utf-8") == copy, "acrlls student"
    notebook = nbformat.reads(copy, as_version=4)
    nbformat.validate(notebook)
    shown = "\n".join(cell.source for cell in notebook.cells)
    hidden = [source for tags, source in code(exercise) if tags & {"solution", "wrong"}]
    assert not [line for text in hidden for line in text.splitlines() if line in shown and line]


def test_the_results_for_those_who_solve_it_on_paper_are_those_of_the_solution(capsys):
    with_key = {}
    for exercise in EXERCISES:
        for cell in exercise.cells:
            if "key" in cell.metadata.get("tags", []):
                with_key[exercise.slug] = cell.source, run(code(exercise, "wrong"))
    assert set(with_key) == {"class_weights", "acr_gradient", "ece_by_hand"}
    text, names = with_key["class_weights"]
    each = [f"{x:.2f}" for x in (*names["q"], *names["corrected"])]
    assert re.findall(r"0\.\d\d", text) == each
    text, names = with_key["acr_gradient"]
    slopes = [f"{names[name]:+g}"[:4].replace("-1", "−1") for name in ("below", "above")]
    assert re.findall(r"[−+][\d.]*\d", text) == slopes and f"image {names['moves']}." in text
    text, names = with_key["ece_by_hand"]
    assert text.endswith(f"= {names['ece']:.4f}.\n```")
    confidence, right = names["confidence"], names["right"]
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| 0.")]
    for (low, high), row in zip(((0.4, 0.6), (0.6, 0.8), (0.8, 1)), rows, strict=True):
        inside = (low < confidence) & (confidence <= high)
        sure, share = confidence[inside].mean(), right[inside].mean()
        values = [f"{x:.3f}" for x in (sure, share, abs(sure - share))]
        assert row == [f"{low} to {high}", str(inside.sum()), *values]
        assert f"{inside.sum()} · {values[-1]}" in text


@each_exercise
def test_an_exercise_says_its_aim_minutes_and_prerequisites_and_is_listed(exercise):
    number, found = int(exercise.name[:2]), about(exercise)
    assert found, "**Section n · m minutes.** *Aim:* ... *Prerequisites:* ..."
    section, minutes = found.groups()[:2]
    title = exercise.title.removeprefix(f"Exercise {number}: ")
    assert title != exercise.title
    copy = f"{{download}}`notebook <../exercises/{exercise.name}.ipynb>`"
    link = f"[{title}](exercises/{exercise.name}.md)"
    where = f"[{section}](sections/{find(section).name}.ipynb)"
    row = f"| {number} | {link} | {where} | {minutes} | {copy} |"
    assert any(line.startswith(row) for line in PAGE.splitlines()), row
    assert f"exercises/{exercise.name}\n" in (PROJECT / "_toc.yml").read_text("utf-8")
    for _, source in code(exercise):
        assert len(source.splitlines()) <= 10 and max(map(len, source.splitlines())) <= 100


def test_the_lecture_gives_each_exercise_its_minutes_and_its_slides_keep_to_the_plan():
    plan = re.findall(r"^\| (\d+)–(\d+) \| (.+?) \|", TEACHING, re.M)
    notes = re.findall(r"^Minutes (\d+) to (\d+)\.", SLIDES, re.M)
    for times in (plan, notes):
        starts, ends = ([int(row[k]) for row in times] for k in (0, 1))
        assert [*starts, 90] == [0, *ends]
    assert {end for _, end, _ in plan} <= {end for _, end in notes}
    steps = re.findall(r"^\| \d+–\d+ \| .+? \| (.*) \| (.*) \|$", TEACHING, re.M)
    assert len(steps) == len(plan)
    for section, picture in steps:  # each with its section, and a picture: a page's, or a slide's
        assert re.search(r"\]\(sections/|\{ref\}", section), section
        slide = re.search(r"the slide \*(.+?)\*", picture)
        assert f"## {slide[1]}\n" in SLIDES if slide else "](" in picture, picture
    done = [(row, k) for row in plan for k in re.findall(r"\[Exercise (\d+)\]", row[2])]
    assert done
    for (start, end, _), k in done:
        assert int(end) - int(start) >= int(about(EXERCISES[int(k) - 1]).group(2))


def test_every_section_has_an_exercise():
    sections = {about(exercise).group(1) for exercise in EXERCISES}
    assert sections == set("12345678")
    assert [int(e.name[:2]) for e in EXERCISES] == list(range(1, len(EXERCISES) + 1))


def test_a_students_work_is_not_overwritten(tmp_path, capsys):
    assert cli.main(["student", "1", "-o", str(tmp_path)]) == 0
    (mine,) = tmp_path.iterdir()
    mine.write_text(mine.read_text().replace("# Your answer here", "answer = 1"))
    assert cli.main(["student", "1", "-o", str(tmp_path)]) == 1
    assert "answer = 1" in mine.read_text() and "edited" in capsys.readouterr().err


def test_an_unknown_exercise_is_a_mistake_in_usage(capsys):
    assert cli.main(["student", "noise_flor"]) == 2
    assert "did you mean 'noise_floor'?" in capsys.readouterr().err


@pytest.mark.thorough
def test_the_slides_need_no_network_and_the_words_of_their_figures_are_large(tmp_path):
    source = PROJECT / "book" / "slides"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "revealjs", str(source), "html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "index.html").read_text("utf-8")
    loaded = re.findall(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"([^\"]+)", page)
    figures = [tmp_path / "html" / name for name in loaded if name.endswith(".png")]
    assert len(figures) == 7
    for file in figures:  # on a screen of 1280 x 720, where reveal.js shows 96 % of its 800 lines
        image = Image.open(file)
        inches = [size / image.info["dpi"][0] for size in image.size]
        shown = 0.96 * 720 / 800 * min(1160 / inches[0], 560 / inches[1])  # slides.css has the most
        assert 8.5 / 72 * shown >= 18
    assert 'alt="_images' not in page  # what myst-nb writes where a cell says nothing
    assert all((tmp_path / "html" / name.split("?")[0]).is_file() for name in loaded)


def test_a_folder_for_exercises_that_is_a_file_is_a_message(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert cli.main(["student", "noise_floor", "-o", str(tmp_path / "mine")]) == 1
    assert "cannot be written" in capsys.readouterr().err
