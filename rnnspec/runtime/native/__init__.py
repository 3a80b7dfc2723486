"""Native code in this process: linking, memory, calls, threads."""
