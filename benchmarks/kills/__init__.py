"""Runs that are killed, again and again, until they are done."""
