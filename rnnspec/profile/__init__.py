"""Where a compiled model's time goes: counted work, measured time, and what the machine could do."""
