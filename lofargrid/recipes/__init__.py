"""A production frozen with a hash, and all that follows from it alone."""
