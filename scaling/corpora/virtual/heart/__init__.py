"""From latents to the noise-free leads: rhythm, atria, QRS, ST and T, lead field."""
