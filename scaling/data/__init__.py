"""Records as batches on the device."""
