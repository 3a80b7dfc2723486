"""The language's names as data: layers, choices and settings, each with its arguments, their types and defaults."""
