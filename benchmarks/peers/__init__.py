"""The contenders of `benchmarks/augment.py`, each a script that runs as a process of its own."""
