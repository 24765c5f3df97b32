"""The models: sequence layout, embeddings, heads and the transformer bodies under them."""
