"""The page, figures and table that ``python -m analysis.fit`` writes."""
