"""Solutions that are not the reference: wrong ones a suite must catch, right ones it must pass."""
