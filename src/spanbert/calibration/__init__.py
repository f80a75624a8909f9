"""What a decoded span's log-odds are worth: curves to probabilities, how they are fitted, thresholds that promise."""
