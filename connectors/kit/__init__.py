"""What every connector and robot shares: the resource contract, errors, manifests, secrets."""
