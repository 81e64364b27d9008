"""How a trace, a finding and the player are shown, whatever stands in them."""
