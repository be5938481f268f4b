"""What several ranks found, as one."""
