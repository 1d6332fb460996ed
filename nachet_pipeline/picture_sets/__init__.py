"""Picture sets: what an import or a mass import writes, to storage and to the database."""
