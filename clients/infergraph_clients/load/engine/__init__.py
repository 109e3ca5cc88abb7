"""Sends requests when they are meant to be sent, in processes of its own, and records each one."""
