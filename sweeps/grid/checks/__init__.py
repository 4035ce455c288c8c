"""What the shape of a grid cannot say."""
