"""Signals of recordings: leads, filters, presets, beats and their waves."""
