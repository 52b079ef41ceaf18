"""Datagrams: receive them, answer them, count them."""
