"""The group `mass_import`: containers full of pictures that have no rows yet."""
