"""A source becomes a prepared corpus, chunk by chunk, resumably."""
