"""What tests, of palate and of code built on it, need: tiny bodies and contract checks."""
