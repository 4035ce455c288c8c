"""``python -m analysis.fit runs.csv``: see ``analysis.report.fit_command``."""

import sys

from analysis.report.fit_command import main

if __name__ == "__main__":
    sys.exit(main())
