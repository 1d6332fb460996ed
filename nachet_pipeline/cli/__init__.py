"""The command `nachet`: one module a group of commands, put together in `main`."""
