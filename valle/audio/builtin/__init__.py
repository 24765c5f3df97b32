"""The built-in codec, without the package encodec and without scipy."""
