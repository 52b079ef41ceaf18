"""What `trioserver.testing` is made of."""
