"""The doctor: what of a store is damaged (`examine`), and bringing back what backups and spools hold (`repair`)."""
