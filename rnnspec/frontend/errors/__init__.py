"""Everything that can be wrong with a spec, by topic; one class a fault."""
