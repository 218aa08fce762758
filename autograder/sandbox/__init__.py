"""Part of the autograder: see the module docstrings."""
