"""Open sets, downloaded so that every file is whole and right."""
