"""The version, in one place: the package, the build and every artifact read it from here."""

__version__ = "0.1.0"
