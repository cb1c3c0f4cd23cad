"""What `benchmarks/scale.py` measures."""
