"""One scenario, two libraries: socketserver and trioserver must agree."""
