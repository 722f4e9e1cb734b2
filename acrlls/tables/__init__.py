"""Tables and computed sentences of the book, a module a section."""
