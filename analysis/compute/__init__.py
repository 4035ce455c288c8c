"""How compute is best spent: cost, surface, allocation, isoFLOP curves, envelopes."""
