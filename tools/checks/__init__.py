"""What must be true of chapters, of their reference, and of the site."""
