"""What runs, where: the only folder that knows processes and hosts."""
