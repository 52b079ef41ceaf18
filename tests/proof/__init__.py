"""The proof: every server, with every scenario of a real life, ended at every moment."""
