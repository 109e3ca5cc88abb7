"""Model runtimes, one module per task. Import a task's module: it alone loads what it needs."""
