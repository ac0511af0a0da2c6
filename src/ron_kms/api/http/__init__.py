"""HTTP: JSON and MessagePack over HTTP/2 and 1.1, as one ASGI application.

``app.py`` holds the table of paths, ``call.py`` the way of one request through it, ``body.py``, ``headers.py``,
``decode.py`` and ``errors.py`` its steps; ``openapi.py`` and ``page/`` describe it to people.
"""
