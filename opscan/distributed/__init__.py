"""Training on several GPUs: a step of one rank traced without the others, and a run of all ranks brought together."""
