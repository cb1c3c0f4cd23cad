"""The audits behind `phantom_audit.py`: one file each."""
