"""A cluster of three nodes on one machine: faults at random, and what Ray costs."""
