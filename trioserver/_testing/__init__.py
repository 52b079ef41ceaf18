"""What tests of servers need, for users of the library and for its own."""
