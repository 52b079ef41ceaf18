"""Functions of bytes, to be driven by whoever makes bytes up."""
