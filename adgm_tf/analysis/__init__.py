"""What is said of a model and its answers: arrays in, numbers and pictures out."""
