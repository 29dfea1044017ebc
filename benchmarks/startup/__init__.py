"""What commands and imports cost before they do anything; README.md has the result."""
