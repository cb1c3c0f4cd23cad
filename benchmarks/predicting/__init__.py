"""The measurements behind `inference.py`: one file each."""
