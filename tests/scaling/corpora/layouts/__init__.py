"""Writers of small datasets in their official layouts, by other means than our readers."""
