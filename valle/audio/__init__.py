"""Sound in files and in memory, and the codecs that turn it into codes and back."""
