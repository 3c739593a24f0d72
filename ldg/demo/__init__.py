"""A page in the browser where one writes, with one's own hand too, explores a model and compares runs."""
