"""The objective: bounds, estimators of the sum over classes, terms on the classifier, the loss."""
