"""Services people can ask for: one folder per service, machinery in `kit/`."""
