"""One file per dataset, each reading its official layout."""
