"""A simulated class: what students hand in, from tidy to hostile. Layer: demonstration."""
