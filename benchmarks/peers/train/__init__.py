"""What `benchmarks/train.py` sets against each other: our loader and engine, and a plain loop."""
