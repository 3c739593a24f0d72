"""Writing: from a text to a picture in a file."""
