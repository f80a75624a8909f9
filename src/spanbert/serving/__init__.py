"""A trained model behind HTTP, for programs on this machine or behind a key. Needs the extra `serve`.

`service` says where, to whom and how much, `worker` predicts for all requests in one thread, `requests` is what is
asked and told, `app` puts them behind routes, and `run` listens.
"""
