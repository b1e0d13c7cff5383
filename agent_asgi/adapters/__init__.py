"""What agents of other frameworks stream, made into what a handler yields; each needs its extra."""
