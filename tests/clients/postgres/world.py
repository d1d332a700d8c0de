"""What a check works with: sessions of the client under test."""

from expect import absent


class World:
    """Between `with world:` and its end a check opens sessions; the end closes them all."""

    def __init__(self, settings, adapter):
        self.settings = settings
        self.adapter = adapter
        self.sessions = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.sessions:
            try:
                self.sessions.pop().close()
            except Exception:
                pass  # The check has judged the session; a dead one may refuse to be closed.

    @property
    def md5(self):
        return self.settings.md5 or absent("TG_MD5_USER is not set")

    def connect(self, **wishes):
        usual = {"account": self.settings.scram, "database": self.settings.database}
        return self.adapter(self.settings, **(usual | wishes))

    def open(self, **wishes):
        """A session that is closed when the check ends."""
        session = self.connect(**wishes)
        self.sessions.append(session)
        return session

    def table(self, name, columns):
        """Makes a new table and returns a session to work with it."""
        session = self.open()
        session.run(f"DROP TABLE IF EXISTS {name}")
        session.run(f"CREATE TABLE {name} ({columns})")
        return session
