"""Which trials run, where, and what they leave behind."""
