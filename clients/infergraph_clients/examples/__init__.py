"""Short programs that call a pipeline, to copy from."""
