"""The proof: every server, with every scenario of a real life, and trouble everywhere."""
