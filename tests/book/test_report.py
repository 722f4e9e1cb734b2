"""The report on a reader's own images."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from acrlls.book import report
from acrlls.config import configure


def test_a_report_has_text_tables_and_figures_and_no_code_and_no_link_elsewhere():
    def shown(**data):
        return new_output("display_data", data={k.replace("_", "/", 1): v for k, v in data.items()})

    cells = [
        new_markdown_cell("# Yours\n\nFrom [phantoms](../phantom.md)."),
        new_code_cell("secret", outputs=[shown(text_html="<table>1</table>", text_plain="x")]),
        new_code_cell(
            "secret", outputs=[shown(image_png="QUJD"), shown(text_markdown="**Good.**")]
        ),
    ]
    page = report.html_of(new_notebook(cells=cells))
    for part in ("<h1>Yours</h1>", "From phantoms.", "<table>1", "base64,QUJD", "<strong>Good."):
        assert part in page
    assert "secret" not in page and "href" not in page


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
