"""Kernels: one table per backend, from op to the function that computes it."""
