"""The command line and the server: everything that changes the process."""
