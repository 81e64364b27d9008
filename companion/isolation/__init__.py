"""What keeps our own work out of the script that is watched: nothing here knows what a trace is."""
