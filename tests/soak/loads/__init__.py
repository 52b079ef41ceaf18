"""What clients do to the server."""
