"""The endpoints: dependency in, one library call, answer out."""
