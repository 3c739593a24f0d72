"""How good a model is: measures of a checkpoint on the test split, and the scorecard they make."""
