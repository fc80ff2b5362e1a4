"""Charts: one module a question, one look, drawn with no network in a notebook, an exported page and a picture file."""
