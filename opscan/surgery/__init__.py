"""Deterministic drop-ins put into a model that is built already, and taken out again."""
