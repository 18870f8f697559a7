"""Systems with an API: one folder per system, machinery in `kit/`."""
