"""Tables and sentences of the sections, one module a section."""
