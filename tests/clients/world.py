"""What a check works with: sessions of the client under test, in databases of its own."""

from adapter import Absent
from expect import absent


class World:
    """Between `with world:` and its end a check opens sessions; the end closes them all."""

    def __init__(self, settings, client, adapter):
        self.settings = settings
        self.adapter = adapter
        self.home = f"{settings.database}_{client.replace('-', '_')}"
        self.other = f"{self.home}_other"
        # Within what the account may see: of others it is told 1044, whether they exist or not.
        self.missing = f"{self.home}_missing"
        self.sessions = []
        self.is_new = True

    def __enter__(self):
        if self.is_new:
            self.is_new = False
            self.make_databases()
        return self

    def __exit__(self, *_):
        while self.sessions:
            try:
                self.sessions.pop().close()
            except Exception:
                pass  # The check has judged the session; a dead one may refuse to be closed.

    def make_databases(self):
        with self.connect(database=self.settings.database) as session:
            for name in (self.home, self.other):
                session.run(f"DROP DATABASE IF EXISTS {name}")
                session.run(f"CREATE DATABASE {name} DEFAULT CHARACTER SET utf8mb4")

    @property
    def account(self):
        """The account of all checks but those that ask for another."""
        return self.native if self.settings.native and self.adapter.speaks_native else self.sha2

    @property
    def native(self):
        if not self.adapter.speaks_native:
            raise Absent("it has no mysql_native_password")
        return self.settings.native or absent("TG_USER is not set")

    @property
    def sha2(self):
        return self.settings.sha2 or absent("TG_SHA2_USER is not set")

    def connect(self, **wishes):
        return self.adapter(self.settings, **{"account": self.account, **wishes})

    def open(self, **wishes):
        """A session in the home database, closed when the check ends."""
        session = self.connect(**{"database": self.home, **wishes})
        self.sessions.append(session)
        return session

    def table(self, name, columns):
        """Makes a new table and returns a session to work with it."""
        session = self.open()
        session.run(f"DROP TABLE IF EXISTS {name}")
        session.run(f"CREATE TABLE {name} ({columns}) ENGINE=InnoDB")
        return session
