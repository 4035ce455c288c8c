"""What answers rest on: fits by configuration, numbers with their resamples, and trust in them."""
