"""What builds and checks the book. The Makefile runs these modules; readers never need them."""
