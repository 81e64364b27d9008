"""Scripts made at random from what people write, each run alone and watched: nothing may differ."""
