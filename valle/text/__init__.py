"""From written text to the ids a model reads: sentences, phonemes, tokens. Nothing here imports torch."""
