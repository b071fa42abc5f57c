"""Side by side with other tools on the same server: ratios, measured in the same run."""
