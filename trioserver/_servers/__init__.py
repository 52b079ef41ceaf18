"""The server classes of socketserver."""
