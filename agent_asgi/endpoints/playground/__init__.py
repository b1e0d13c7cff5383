"""The playground: a page to talk to the agents."""
