"""Running programs: interpreter, executor, session."""
