"""The use cases, one a file, each with its schema, its act and its help; the HTTP edge and the library run the same."""
