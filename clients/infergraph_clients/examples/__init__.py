"""Short programs to copy from, one for each way of calling a model or pipeline."""
