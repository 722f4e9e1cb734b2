"""Tables and sentences of the sections, a module a section."""
