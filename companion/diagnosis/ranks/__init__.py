"""What several processes of one training did, compared: what differs, and what should not."""
