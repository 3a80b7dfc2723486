"""Text files that ship with the package: grammars, templates, the standard library."""

from __future__ import annotations

from importlib.resources import files


def read_resource(folder: str, name: str) -> str:
    """The text of `folder/name` (`grammar/rnn.lark`, `stdlib/lstm.rnn`).

    In a wheel every folder lies in the package; in a checkout, editable installs included,
    `grammar` and `templates` lie beside it. Raises FileNotFoundError if it's in neither place.
    """
    package = files("rnnspec")
    for path in (package / folder / name, package / ".." / folder / name):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"rnnspec is not installed completely: {folder}/{name} is missing")
