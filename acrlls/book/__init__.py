"""The book: sections executed through papermill and brought to Sphinx."""

from acrlls.book.exercises import all_exercises, write_student
from acrlls.book.extension import setup
from acrlls.book.report import write_report
from acrlls.book.sections import Section, SectionFailed, all_sections, execute, find, is_executed

__all__ = ["Section", "SectionFailed", "all_exercises", "all_sections", "execute", "find"]
__all__ += ["is_executed", "setup", "write_report", "write_student"]
