"""The scheduling decisions that processors need: tiles, time blocks, prefetching, aliased tapes."""
