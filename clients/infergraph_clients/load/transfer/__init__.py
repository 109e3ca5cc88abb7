"""Which form of audio, images and text costs what on its way to a server, and when it pays."""
