"""How good a version of a model is on pictures that it was not trained on."""
