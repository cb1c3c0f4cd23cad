"""What H.264 does to a picture, without a codec library or a bit stream."""
