"""What is found in the records of a corpus, as a table, a page and drawings."""
