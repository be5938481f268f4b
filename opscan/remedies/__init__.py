"""What to write instead, at which line: drop-ins chosen for findings, and the edits that put them there."""
