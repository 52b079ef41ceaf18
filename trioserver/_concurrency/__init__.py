"""What runs synchronous handlers: threads, child processes, and what they see."""
