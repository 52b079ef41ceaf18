"""The proof: each server, each scenario of a real life, and trouble everywhere."""
