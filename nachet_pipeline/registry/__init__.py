"""The seeds that pictures may show: the reviewed file of the package, and looking names up in it."""
