"""``python -m lambdacat``."""

import sys

from lambdacat.cli import main

if __name__ == "__main__":
    sys.exit(main())
