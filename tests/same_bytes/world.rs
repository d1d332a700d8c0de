//! Two servers that are alike, one of them behind a guard.

use std::fmt;

use harness::*;
use wire::mysql::Capabilities;

use super::compare::compare;
use super::lanes::{Finding, Stage, Verdict};
use super::play::Player;
use super::script::Step;

/// Connections of the guard: fewer than there are sessions at any time.
const CONNECTIONS: u32 = 3;

/// One client's session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What it is called in a report.
    pub(crate) name: String,
    /// Who logs in.
    pub(crate) account: Account,
    /// What is asked for at login.
    pub(crate) capabilities: Capabilities,
    /// What it says.
    pub(crate) steps: Vec<Step>,
}

/// Both ways to a database.
pub(crate) struct World {
    engine: Engine,
    direct: Server,
    guarded: Server,
    guard: Guard,
}

impl World {
    /// Starts both; `linger` is `upstream.linger`.
    pub(crate) async fn start(engine: Engine, linger: &str) -> Result<Self, Error> {
        let (direct, guarded) = (server(engine).await?, server(engine).await?);
        let setup = Setup {
            connections: CONNECTIONS,
            upstream: format!("linger = \"{linger}\""),
            sections: "[auth]\nlocal_infile = true\n\n[overall]\nqueue_time = \"60s\"\n\n[class.default]\nqueue_time = \"60s\"\n\
                       statement_time = \"off\"\ntransaction_time = \"off\"\n\
                       idle_in_transaction_time = \"off\"\nlock_wait_time = \"off\"\n"
                .into(),
            ..Setup::default()
        };
        let guard = Guard::start(&guarded, &setup).await?;
        Ok(Self { engine, direct, guarded, guard })
    }

    /// Makes the schema of a session anew on both servers, with the tables all sessions know.
    async fn make(&self, schema: &str) -> Result<(), ClientError> {
        let mut sql = SCHEMA.replace("$schema", schema);
        if self.engine.is_mariadb() {
            sql += "CREATE SEQUENCE seq;";
        }
        for server in [&self.direct, &self.guarded] {
            let mut root = Client::login(server.addr(), &ROOT).await?;
            // The session before may have left one, with its locks.
            root.query(format!("XA ROLLBACK '{schema}'")).await?;
            let reply = root.query(&sql).await?;
            assert_eq!(reply.failure(), None, "the schema of the sessions");
        }
        Ok(())
    }

    /// Plays a session both ways, at the same time, and compares.
    pub(crate) async fn play_both(
        &self,
        session: &Session,
        schema: &str,
    ) -> Result<Verdict, ClientError> {
        let Session { account, capabilities, steps, .. } = session;
        let steps = &steps.iter().map(|step| step.within(schema)).collect::<Vec<_>>();
        let guarded = Player::login(self.guard.addr(), account, schema, *capabilities).await?;
        // What the guard does not offer is not asked of the server either.
        let agreed = guarded.capabilities();
        let direct = Player::login(self.direct.addr(), account, schema, agreed).await?;
        assert_eq!(direct.capabilities(), agreed, "the guard offers what the server has not");
        let (direct, guarded) = tokio::join!(direct.play(steps), guarded.play(steps));
        Ok(Verdict { exchanges: direct.len(), finding: compare(self.engine, &direct, &guarded) })
    }
}

impl Stage for World {
    type Session = Session;

    async fn prepare(&self, schema: &str) {
        self.make(schema).await.expect("a schema of the lane's own");
    }

    async fn play(&self, session: &Session, schema: &str) -> Verdict {
        self.play_both(session, schema).await.unwrap_or_else(|error| {
            let finding = Finding::Differs(format!("    {error}\n"));
            Verdict { exchanges: 0, finding }
        })
    }

    fn log(&self) -> String {
        self.guard.log()
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} ({:?})", self.name, self.account.name, self.capabilities)
    }
}

async fn server(engine: Engine) -> Result<Server, Error> {
    // Answers must not depend on when statistics are collected, nor on whether a session was reset:
    // MySQL 9.7 itself looks after foreign keys, but for such a session InnoDB does.
    let arguments = ["--innodb-stats-auto-recalc=OFF", "--loose-innodb-native-foreign-keys=ON"];
    let arguments = arguments.map(str::to_owned).to_vec();
    Server::start(Settings { engine, arguments, ..Settings::default() }).await
}

/// What every session finds. It also owns a second schema, `$schema_b`, with the same table `t`.
const SCHEMA: &str = "
DROP DATABASE IF EXISTS $schema; DROP DATABASE IF EXISTS $schema_b;
CREATE DATABASE $schema CHARACTER SET utf8mb4; CREATE DATABASE $schema_b CHARACTER SET latin1;
USE $schema;
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(20), u INT UNIQUE);
INSERT INTO t (a, b, u) VALUES (1, 'one', 10), (2, 'two', 20), (3, NULL, NULL), (4, 'für', 40);
CREATE TABLE child (id INT PRIMARY KEY, t INT, FOREIGN KEY (t) REFERENCES t (id));
CREATE TABLE kinds (id INT PRIMARY KEY, ti TINYINT UNSIGNED, bi BIGINT, de DECIMAL(20,5), fl FLOAT,
  d DOUBLE, bt BIT(10), da DATE, dt DATETIME(6), ts TIMESTAMP NULL, tm TIME(3), y YEAR,
  c CHAR(5), vb VARBINARY(10), bl BLOB, tx TEXT, e ENUM('x','y'), s SET('p','q'), j JSON,
  g GEOMETRY, n INT);
INSERT INTO kinds VALUES (1, 255, -9223372036854775808, 12345.67890, 1.5, 2.25e100, b'1010101010',
  '2022-06-27', '2022-06-27 13:00:00.123456', '2022-06-27 13:00:00', '-101:00:00.500', 2022, 'abc',
  x'00ff', 'blob', 'text', 'y', 'p,q', '{\"k\": [1]}', POINT(1, 2), NULL),
  (2, 0, 0, 0, 0, 0, 0, '1000-01-01', '1000-01-01', NULL, '00:00:00', 1901, '', '', '', '', 'x', '',
  'null', NULL, 7);
CREATE TABLE $schema_b.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(20), u INT UNIQUE);
INSERT INTO $schema_b.t (a, b) VALUES (100, 'hundred');
CREATE PROCEDURE results() BEGIN SELECT 1 AS one; SELECT a, b FROM t ORDER BY id LIMIT 3; END;
CREATE PROCEDURE fails() BEGIN SELECT 2 AS two;
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'as it should'; END;
CREATE PROCEDURE makes() BEGIN CREATE TEMPORARY TABLE made (a INT); INSERT INTO made VALUES (5); END;
CREATE PROCEDURE makes_and_fails() BEGIN CREATE TEMPORARY TABLE made (a INT);
  SET SESSION time_zone = '+06:00'; SIGNAL SQLSTATE '45000'; END;
CREATE PROCEDURE assigns() BEGIN SET @assigned = 7; END;
CREATE PROCEDURE chooses() BEGIN SET SESSION time_zone = '+05:00'; END;
CREATE PROCEDURE outs(IN x INT, OUT y INT, INOUT z INT) BEGIN SET y = x * 2, z = z + 1; END;
CREATE PROCEDURE inserts() BEGIN INSERT INTO t (a) VALUES (50); SELECT 3; INSERT INTO t (a) VALUES (51);
  END;
CREATE FUNCTION doubles(x INT) RETURNS INT NO SQL RETURN x * 2;
CREATE FUNCTION notes(x INT) RETURNS INT NO SQL BEGIN SET @noted = x; RETURN x; END;
CREATE TRIGGER watched BEFORE INSERT ON child FOR EACH ROW SET @seen = NEW.id;
CREATE VIEW v AS SELECT id, a, CONCAT(b, '!') AS n FROM t;
CREATE FUNCTION chooses_zone() RETURNS INT NO SQL BEGIN SET SESSION time_zone = '+07:00'; RETURN 1; END;
CREATE VIEW noting AS SELECT notes(id) AS n FROM t;
CREATE VIEW choosing AS SELECT chooses_zone() AS n;
";
