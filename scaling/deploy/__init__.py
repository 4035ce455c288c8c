"""What is deployed, and what it costs where it runs."""
