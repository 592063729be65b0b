"""python -m pbgen: the command line."""

import sys

from pbgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
