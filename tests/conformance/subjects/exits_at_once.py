"""A file that leaves while it is imported, as scripts without a main guard do."""

import sys

sys.exit(3)
