"""Translation as data: maps, code tables, calendars, messages. Imports nothing of ours."""
