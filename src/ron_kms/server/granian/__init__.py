"""Granian 2.8 in a worker: a Rust server (hyper) that runs our ASGI application on the worker's own event loop.

It is an extra, ``ron-kms[granian]``, pinned exactly, for ``serve.py`` uses the pieces of which Granian's embedded
server is made: they take a socket that listens already, and fail where they are called.

| file | what |
|---|---|
| ``installed.py`` | whether the extra is there, in the one version that is known |
| ``serve.py`` | a listener, its limits, its certificates, the graceful stop |
| ``trial.py`` | whether its TLS takes certificates |
| ``sockets.py`` | deadlines that hyper does not keep: idle connections and clients that do not read |

hyper bounds heads, streams, resets and windows by itself. What is left to a client is in docs/operating.md.
"""
