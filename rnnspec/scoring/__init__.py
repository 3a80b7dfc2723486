"""Files scored one by one, here or by the workers of an engine: what to do, one partition's work, and who does it."""
