"""``python -m analysis.fit runs.csv``: see ``analysis.report.fitted.command``."""

import sys

from analysis.report.fitted.command import main

if __name__ == "__main__":
    sys.exit(main())
