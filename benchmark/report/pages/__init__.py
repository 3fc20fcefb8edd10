"""The pages of a report: what each shows, as plain values for its template."""
