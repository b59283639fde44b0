"""What `populace demo` runs on: two months of an invented shop, and an S3 server to keep them in."""
