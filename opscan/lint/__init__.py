"""The linter: source text in, findings out. It imports neither torch nor the code it reads."""
