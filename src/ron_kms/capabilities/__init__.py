"""Bearer tokens: macaroons whose first-party caveats say what their holder may do, until when and how often.

A token is minted with one of the service's root keys and checked with the same key, without a look into the store.
Whoever holds a token can add caveats to it offline and so narrow it; nobody can take one away.
"""
