"""PostgreSQL: the tables by their migrations, and the statements on them."""
