"""Mass import: containers full of pictures that have no row in the database yet."""
