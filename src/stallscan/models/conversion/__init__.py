"""2D modules of other people as 3D ones: tracing, and a rule for each function and layer."""
