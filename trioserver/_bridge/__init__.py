"""What drives an existing server object of the standard library's from Trio."""
