"""The book: sections executed through papermill and brought to Sphinx."""

from acrlls.book.extension import setup

__all__ = ["setup"]
