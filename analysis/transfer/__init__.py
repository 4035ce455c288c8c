"""What a loss on one set of records says of the loss on another."""
