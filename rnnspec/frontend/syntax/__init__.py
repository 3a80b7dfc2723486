"""Text to syntax tree: parser with error recovery, imports, limits, formatter."""
