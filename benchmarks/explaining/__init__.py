"""What explanations are worth: see `explain.py`."""
