"""Front ends: user languages that build graphs."""
