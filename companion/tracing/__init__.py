"""A running frame becomes records: `trace()`, who follows it, who records, what a call means."""
