"""Files: the model file `.rnnc`, the cache folder of compiled code, plain data as JSON."""
