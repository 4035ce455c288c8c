"""Tests of architectures and their cost."""
