"""Write the drop-ins that a report suggests into the user's source."""
