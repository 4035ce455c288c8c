"""What one trial does: corpora, models, training, evaluation and cost."""
