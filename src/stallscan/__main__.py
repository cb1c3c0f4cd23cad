"""``python -m stallscan``."""

import sys

from stallscan.cli import main

if __name__ == "__main__":
    sys.exit(main())
