"""Run the command line as ``python -m mxemu``."""

from mxemu.cli import main

if __name__ == "__main__":
    main()
