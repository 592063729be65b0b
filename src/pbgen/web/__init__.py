"""The engine in the browser: its JavaScript, the compiled modules beside it, and pages that run a generator."""
