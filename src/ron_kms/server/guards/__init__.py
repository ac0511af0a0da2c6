"""Hypercorn 0.18 made hard to hurt.

Hypercorn speaks HTTP/2 (by ``h2``) and HTTP/1.1 (by ``h11``); these subclasses keep its send path and replace what one
client could use against the others. Nothing in Hypercorn's own modules is patched. ``tests/server/test_pins.py`` fails
when the code that they lean on changes.

| file | guards |
|---|---|
| ``limits.py`` | every bound in one place, and the budget for frames that cost us but ask for nothing |
| ``stream.py`` | request bodies, handed over in one piece and acknowledged when read; answers in one piece |
| ``http2.py`` | late DATA, resets, control floods, slow bodies and readers |
| ``frames.py`` | excess streams, header bombs, the price of a whole request's and an answer's frames |
| ``headers.py`` | the price of coding the same headers with every request |
| ``http11.py`` | reason phrases, early answers, errors in the API's form, upgrades |
| ``connection.py`` | one connection: reading, writing, closing, deadlines |
| ``serve.py`` | listening sockets, the connection cap, the sweep of deadlines, the graceful stop |
"""
