"""Checking the models of source files, as a commit changes them: found in the text, then built and scanned."""
