"""What users derive from: one object for each request, with methods to override."""
