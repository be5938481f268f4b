"""What a real device does: strict mode's errors, all of them, and ops that do not repeat on equal bits."""
