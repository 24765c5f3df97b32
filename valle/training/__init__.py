"""How the built-in voice is made: speech to learn from, the codec, the model, and what measures them."""
