"""Where private keys rest and who works with them."""
