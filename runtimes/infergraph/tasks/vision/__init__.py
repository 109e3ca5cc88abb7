"""What the tasks on images are made of."""
