"""TinyFlow: a small deep-learning engine to read, in the style of NNVM."""
