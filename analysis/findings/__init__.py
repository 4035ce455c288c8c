"""Our exponents beside the findings of S1; ``python -m analysis.findings <folder>``."""
