"""Numbers printed in papers, to stand beside our own."""
