"""Settings of the machine and the process: what they are, and what strict training wants of them."""
