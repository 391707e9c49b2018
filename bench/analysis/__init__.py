"""Pure analysis of result rows: groups, comparisons, gates, published figures, frontiers and money."""
