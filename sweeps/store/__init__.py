"""The live store of a study."""
