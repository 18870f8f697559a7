"""Request, case, ledger, plan: what every service is made of."""
