"""What workers and their coordinator send each other."""
