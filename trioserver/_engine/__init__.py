"""Accept, admit, run, drain: the life of a server and of each request."""
