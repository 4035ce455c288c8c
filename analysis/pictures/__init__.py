"""Pictures of a study: of its students and their teacher."""
