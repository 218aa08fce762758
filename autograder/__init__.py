"""Release, sandbox, judge, gradebook and reports of the TinyFlow course kit."""
