"""What a request costs, measured next to servers that do nothing. See README.md."""
