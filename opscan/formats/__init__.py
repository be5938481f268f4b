"""What documents of all commands are made of: SARIF, workflow commands, Markdown, text that a terminal may show."""
