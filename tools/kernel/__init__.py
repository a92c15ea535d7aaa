"""What IPython runs when a kernel of the book starts: each file by itself."""
