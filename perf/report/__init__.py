"""One page from the records of all suites: what was asked for, what was measured, and what it looks like.

| file | does |
|---|---|
| ``__main__.py`` | the command |
| ``collect.py`` | finds records, and the newest of each subject |
| ``colours.py`` | one colour for one thing, in light and in dark |
| ``drawing.py`` | a figure of matplotlib as SVG inside the page |
| ``markup.py`` | HTML in which every text is escaped |
| ``page.py``, ``page.css`` | the page around the sections |
| ``targets.py`` | what was asked for, judged by the records |
| ``sections/`` | one file for each thing to see |
"""
