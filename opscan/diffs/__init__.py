"""Two documents of findings compared: what a change added, removed and changed."""
