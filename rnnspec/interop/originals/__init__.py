"""Models of other frameworks' files, run by these frameworks where they are installed, and compared with what is here."""
