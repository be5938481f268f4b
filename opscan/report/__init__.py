"""What a person or a machine reads: table, JSON, HTML, DataFrame."""
