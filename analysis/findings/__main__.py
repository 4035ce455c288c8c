"""``python -m analysis.findings results/<study>``: see ``analysis.report.findings``."""

import sys

from analysis.report.findings.command import main

if __name__ == "__main__":
    sys.exit(main())
