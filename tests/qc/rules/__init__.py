"""One table for each topic: the plan that fires a rule and the one just inside its limit."""
