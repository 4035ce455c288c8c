"""ECG on disk -> Corpus: memory-mapped signals, labels and patients."""
