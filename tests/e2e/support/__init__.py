"""What the end-to-end tests share: homes, processes, their log events."""
