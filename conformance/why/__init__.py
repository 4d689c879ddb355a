"""Why outcomes differ: profiles, layouts, known mistakes, two of them, rules, and the smallest case that shows it."""
