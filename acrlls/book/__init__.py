"""The book: sections executed through papermill and brought to Sphinx."""

from acrlls.book.extension import setup
from acrlls.book.report import write_report
from acrlls.book.sections import (
    Section,
    SectionFailed,
    all_exercises,
    all_sections,
    execute,
    find,
    is_executed,
    write_student,
)

__all__ = ["Section", "SectionFailed", "all_exercises", "all_sections", "execute", "find"]
__all__ += ["is_executed", "setup", "write_report", "write_student"]
