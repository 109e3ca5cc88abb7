"""What speech to text is made of."""
