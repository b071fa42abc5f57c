"""Where load ends: levels, the search for the highest, what is saturated there, and the laws that predict it."""
