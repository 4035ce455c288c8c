"""Whether a fit holds: points left out, other choices, other laws, another program."""
