"""What runs synchronous handlers: threads, and what they see of the server."""
