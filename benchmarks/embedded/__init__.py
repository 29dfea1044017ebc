"""What the embedded encoder's score tells apart; README.md has the result."""
