"""What an evaluation is made of: predictions of one bundle on one test split, measures of them, and the report."""
