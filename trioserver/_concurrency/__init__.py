"""What runs synchronous handlers: threads, processes, and what they see."""
