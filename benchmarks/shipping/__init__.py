"""What the models in the box are worth: see `shipped.py`."""
