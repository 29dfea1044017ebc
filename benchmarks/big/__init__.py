"""How many records a driver hands out, in how much memory, and how soon a rerun goes on."""
