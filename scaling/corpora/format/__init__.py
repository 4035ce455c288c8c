"""The format of a prepared corpus: its files, tables, splits, and how it is opened."""
