"""What the benchmarks share: machine, processes, tables, figures, results' files, images."""
