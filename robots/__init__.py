"""Systems without an API, driven through their screens: one folder per system, machinery in `kit/`."""
