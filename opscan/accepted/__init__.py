"""Findings that fail nothing: a waiver accepts them, or a baseline has them; and waivers that are no longer true."""
