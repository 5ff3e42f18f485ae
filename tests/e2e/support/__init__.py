"""Helpers of the end-to-end tests: homes, processes, their log events."""
