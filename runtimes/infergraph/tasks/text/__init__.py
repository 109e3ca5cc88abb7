"""What the tasks on text are made of."""
