"""What a reader sees of figures: pictures, tables and sentences."""
