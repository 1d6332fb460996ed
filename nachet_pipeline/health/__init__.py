"""How the pipeline is: what an operator reads first, and what an alert listens to."""
