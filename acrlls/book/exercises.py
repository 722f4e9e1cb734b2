"""Exercises: one source each, a page of the book, and the student's copy without its solution."""

from pathlib import Path

from acrlls.book.sections import Section, all_sections
from acrlls.config import PROJECT, UserError
from acrlls.store import write_text

SOURCES = PROJECT / "book" / "exercises"


def all_exercises() -> list[Section]:
    """All exercises in the order of their numbers; a :class:`UserError` where there are none."""
    return all_sections(SOURCES, ".md")


def write_student(exercise: Section, path: Path) -> Path:
    """Write the student's notebook; equal sources give equal files.

    Cells tagged ``solution`` become empty ones, and those tagged ``wrong``, mistakes that the check
    must refuse, are left out. Another file, which may hold a student's work, is a `UserError`.
    """
    from nbformat import v4

    cells = []
    for cell in exercise.cells:
        tags = cell.metadata.get("tags", [])
        source = "# Your answer here\n" if "solution" in tags else cell.source
        new = v4.new_code_cell if cell.cell_type == "code" else v4.new_markdown_cell
        if "wrong" not in tags:
            cells.append(new(source, id=f"cell-{len(cells)}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    text = v4.writes(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})) + "\n"
    if path.exists() and path.read_bytes() != text.encode():
        raise UserError(f"{path} has been edited; move or delete it first")
    write_text(path, text)
    return path
