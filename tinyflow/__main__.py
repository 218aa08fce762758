"""`python -m tinyflow` is the command `tinyflow`. Layer: cli."""

import sys

from tinyflow.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
