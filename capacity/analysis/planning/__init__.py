"""When it is outgrown and what to run instead: growth, exhaustion, margins, sizes, prices and cost."""
