"""The report on a reader's own images."""

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import TINY
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from acrlls.book import report
from acrlls.cli import main
from acrlls.config import configure
from acrlls.data import load_data, write_folder
from acrlls.runs import load_run


def test_a_report_has_text_tables_and_figures_and_no_code_and_no_link_elsewhere():
    def shown(**data):
        return new_output("display_data", data={k.replace("_", "/", 1): v for k, v in data.items()})

    cells = [
        new_markdown_cell("# Yours\n\nFrom [phantoms](../phantom.md)."),
        new_markdown_cell("Of the book alone.", metadata={"tags": ["book"]}),
        new_code_cell("secret", outputs=[shown(text_html="<table>1</table>", text_plain="x")]),
        new_code_cell(
            "secret",
            outputs=[shown(image_png="QUJD"), shown(text_markdown="**Good.**")],
            metadata={"mystnb": {"image": {"alt": "Bars"}, "figure": {"caption": "p < q"}}},
        ),
    ]
    page = report.html_of(new_notebook(cells=cells))
    for part in ("<h1>Yours</h1>", "From phantoms.", "<table>1", "base64,QUJD", "<strong>Good."):
        assert part in page
    assert 'role="img" aria-label="Bars"' in page and "<figcaption>p &lt; q</figcaption>" in page
    assert not any(part in page for part in ("secret", "href", "Of the book"))


def test_the_report_is_of_all_settings_of_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("ACRLLS_DATA", str(tmp_path / "other"))
    config = configure("laptop", data=str(tmp_path), views=3, loss="focal", seed=7, image_size=64)
    asked = {}

    def execute(section, output, parameters):
        asked.update(parameters, name=section.name)
        return new_notebook(cells=[new_markdown_cell("Text.")])

    monkeypatch.setattr(report, "execute", execute)
    file = report.write_report(tmp_path, config)
    assert asked.pop("name") == "16_your_images" and "<p>Text.</p>" in file.read_text("utf-8")
    found = configure(**asked).as_dict()
    assert found | {"profile": "laptop"} == config.as_dict()


@pytest.mark.thorough
def test_a_folder_of_ones_own_becomes_two_runs_and_a_page_on_them(tmp_path):
    drawn, folder = load_data(configure("quick", **TINY)), tmp_path / "mine"
    kinds = dict(
        zip(drawn.class_names, ("Left Lung", "Right Lung", "Right Lung", "None"), strict=True)
    )
    write_folder(drawn, folder, TINY["phantom_images"], kinds)
    (folder / "None" / "notes.txt").write_text("no image")
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(TINY | {"bins": 4}))
    asked = ["reproduce", "--profile", str(tmp_path / "mine.yml"), "--data", str(folder)]
    assert main([*asked, "-o", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    scores = BeautifulSoup(page, "html.parser").select("table")[1]
    rows = [[cell.text for cell in row.select("th, td")] for row in scores.select("tbody tr")]
    for variant in ("baseline", "proposed"):
        test = load_run(tmp_path / "report" / variant).predictions("test")
        assert set(test.class_names) == set(kinds.values())
        right = np.mean(test.logits.argmax(axis=1) == test.labels)
        (row,) = [row for row in rows if row[:2] == [variant.title(), "as trained"]]
        assert row[2] == f"{right:.3f}"
    assert "notes.txt" in page and "your folder" in page and "phantom" not in page
    assert 'aria-label="Reliability diagrams' in page and 'src="http' not in page
