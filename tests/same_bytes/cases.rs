//! Sessions by hand: what must not be left to chance, and what once differed.

#[path = "cases/prepared.rs"]
mod prepared;
#[path = "cases/settings.rs"]
mod settings;

use harness::{APP, Engine, OTHER};
use wire::mysql::command::Command;

use super::generate::capability_sets;
use super::script::{Execution, Step, Value};
use super::world::Session;

/// Every case, with every set of capabilities.
pub(crate) fn all(engine: Engine) -> Vec<Session> {
    let is_played = move |case: &&Case| engine.is_mariadb() || !ON_MARIADB.contains(&case.name);
    let of_case = |capabilities| {
        CASES.iter().chain(settings::CASES).chain(prepared::CASES).filter(is_played).map(
            move |case| Session {
                name: case.name.to_owned(),
                account: if case.asks { OTHER } else { APP },
                capabilities,
                steps: case.steps.iter().map(|step| step.to_step()).collect(),
            },
        )
    };
    capability_sets().into_iter().flat_map(of_case).collect()
}

/// What an account asks for the first time, the guard may have to refuse: that its connections are
/// kept for a question is learnt from its first one. Whether these differ is not looked at.
pub(crate) fn first_questions() -> Vec<Session> {
    let questions = ["SELECT LAST_INSERT_ID()", "SELECT ROW_COUNT()", "SELECT FOUND_ROWS()"];
    let questions = questions.into_iter().chain(["SHOW WARNINGS", "SELECT 1"]);
    let steps: Vec<_> = questions.map(|sql| Step::Query(sql.to_owned())).collect();
    let of = |capabilities| Session {
        name: "first questions".to_owned(),
        account: OTHER,
        capabilities,
        steps: steps.clone(),
    };
    capability_sets().into_iter().map(of).collect()
}

/// Two differences on MySQL that are left (docs/ARCHITECTURE.md, "What is open"): what a failed
/// procedure has set is told in the OK of the next statement, where the guard has heard it already;
/// and an unknown command adds its error to the warnings that were there.
const ON_MARIADB: [&str; 2] =
    ["a procedure fails behind a temporary table", "errors of the guard's own are in the warnings"];

struct Case {
    name: &'static str,
    /// Whether it asks about statements before.
    asks: bool,
    steps: &'static [Say],
}

enum Say {
    Sql(&'static str),
    Command(Command, &'static [u8]),
    /// Prepares into a slot.
    Prepare(usize, &'static str),
    /// Executes a slot with numbers, with a cursor or without.
    Execute(usize, &'static [i64], Cursor),
    Fetch(usize),
    Reset(usize),
    LongData(usize),
    /// Executes a slot with its one parameter sent ahead.
    ExecuteSentAhead(usize),
    /// Executes a slot with a text.
    ExecuteText(usize, &'static str),
    Close(usize),
}

#[derive(Clone, Copy)]
enum Cursor {
    Without,
    ReadOnly,
}

impl Say {
    fn to_step(&self) -> Step {
        match self {
            Self::Sql(sql) => Step::Query((*sql).to_owned()),
            Self::Command(command, rest) => Step::Command([&[*command as u8], *rest].concat()),
            Self::Prepare(slot, sql) => Step::Prepare(*slot, (*sql).to_owned()),
            Self::Execute(slot, numbers, cursor) => Step::Execute(Execution {
                slot: *slot,
                values: numbers.iter().copied().map(Value::Number).collect(),
                types: true,
                flags: u8::from(matches!(cursor, ReadOnly)),
            }),
            Self::Fetch(slot) => Step::Fetch(*slot, 1),
            Self::Reset(slot) => Step::Reset(*slot),
            Self::LongData(slot) => Step::LongData(*slot, 0, b"12".to_vec()),
            Self::ExecuteSentAhead(slot) => Step::Execute(Execution {
                slot: *slot,
                values: vec![Value::SentAhead],
                types: true,
                flags: 0,
            }),
            Self::ExecuteText(slot, text) => Step::Execute(Execution {
                slot: *slot,
                values: vec![Value::Text((*text).to_owned())],
                types: true,
                flags: 0,
            }),
            Self::Close(slot) => Step::Close(*slot),
        }
    }
}

use Cursor::{ReadOnly, Without};
use Say::{Close, Command as Com, Execute, ExecuteSentAhead, Fetch, LongData, Prepare, Reset, Sql};

const CASES: &[Case] = &[
    Case {
        name: "a transaction from its beginning to its end",
        asks: false,
        steps: &[
            Sql("BEGIN"),
            Sql("INSERT INTO t (a) VALUES (1)"),
            Sql("SELECT * FROM t ORDER BY id"),
            Sql("SAVEPOINT s"),
            Sql("UPDATE t SET a = 2"),
            Sql("ROLLBACK TO SAVEPOINT s"),
            Sql("COMMIT"),
            Sql("SELECT * FROM t ORDER BY id"),
        ],
    },
    Case {
        name: "a transaction that does nothing",
        asks: false,
        steps: &[
            Sql("BEGIN"),
            Sql("COMMIT"),
            Sql("START TRANSACTION READ ONLY"),
            Com(Command::Ping, b""),
            Sql("ROLLBACK"),
            Com(Command::Ping, b""),
            Sql("COMMIT"),
        ],
    },
    Case {
        name: "the session says how it changed",
        asks: false,
        steps: &[
            Sql("SELECT 1"),
            Sql("USE app"),
            Sql("SELECT 1"),
            Com(Command::InitDb, b"app"),
            Sql("SET NAMES latin1"),
            Sql("SELECT 1"),
            Sql("SET time_zone = '+01:00'"),
            Com(Command::Ping, b""),
            Sql("SET autocommit = 0"),
            Sql("SET autocommit = 1"),
            Sql("SET sql_mode = ''"),
            Sql("SELECT 1"),
            Sql("CALL chooses()"),
            Sql("SET @x = 1"),
            Sql("SELECT @x"),
            Sql("INSERT INTO t (a) VALUES (3)"),
        ],
    },
    Case {
        name: "a procedure changes the session before and after its results",
        asks: false,
        steps: &[
            Sql("CALL chooses()"),
            Sql("SELECT 1"),
            Sql("CALL results()"),
            Sql("CALL inserts()"),
            Sql("CALL fails()"),
            Sql("SELECT 1"),
        ],
    },
    Case {
        name: "questions about the statement before",
        asks: true,
        steps: &[
            Sql("INSERT INTO t (a) VALUES (3), (4)"),
            Sql("SELECT LAST_INSERT_ID()"),
            Sql("SELECT ROW_COUNT()"),
            Sql("UPDATE t SET a = 5"),
            Sql("SELECT ROW_COUNT()"),
            Sql("SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 1"),
            Sql("SELECT FOUND_ROWS()"),
            Sql("SELECT CAST('12x' AS INT)"),
            Sql("SHOW WARNINGS"),
            Sql("SELEC"),
            Sql("SHOW ERRORS"),
            Sql("SELECT LAST_INSERT_ID(99)"),
            Sql("SELECT LAST_INSERT_ID()"),
        ],
    },
    Case {
        name: "a trigger sets a variable in a statement that fails",
        asks: false,
        steps: &[Sql("INSERT INTO child VALUES (1, 99)"), Sql("SELECT @seen"), Sql("SELECT @seen")],
    },
    Case {
        name: "a variable from a failed statement outlives its transaction",
        asks: false,
        steps: &[
            Sql("BEGIN"),
            Sql("INSERT INTO child VALUES (2, 99)"),
            Sql("UPDATE t SET a = 7"),
            Sql("COMMIT"),
            Sql("SELECT 1"),
            Sql("SELECT @seen"),
        ],
    },
    Case {
        name: "a failed statement hides behind another change",
        asks: false,
        steps: &[
            Sql("BEGIN"),
            Sql("INSERT INTO child VALUES (3, 99)"),
            Sql("USE app"),
            Sql("SET time_zone = '+01:00'"),
            Sql("COMMIT"),
            Sql("SELECT @seen, @@time_zone"),
        ],
    },
    Case {
        name: "a procedure fails behind a temporary table",
        asks: false,
        steps: &[
            Sql("CALL makes()"),
            Sql("CALL makes()"),
            Com(Command::ResetConnection, b""),
            Sql("CALL makes_and_fails()"),
            Sql("SELECT * FROM made"),
            Sql("SELECT @@time_zone"),
        ],
    },
    Case {
        name: "of several statements the last one fails",
        asks: false,
        steps: &[
            Sql("SET @x = 1; SELEC 1"),
            Sql("SELECT @x"),
            Com(Command::ResetConnection, b""),
            Sql("SELECT GET_LOCK(CONCAT(DATABASE(), 'm'), 0); SELEC 1"),
            Sql("SELECT RELEASE_LOCK(CONCAT(DATABASE(), 'm'))"),
            Com(Command::ResetConnection, b""),
            Sql("LOCK TABLES t WRITE; SELEC 1"),
            Sql("SELECT * FROM child"),
        ],
    },
    Case {
        name: "a function sets a variable in a query",
        asks: false,
        steps: &[Sql("SELECT notes(4)"), Sql("SELECT 1"), Sql("SELECT @noted")],
    },
    Case {
        name: "a view calls a function that sets a variable",
        asks: false,
        steps: &[
            Sql("SELECT n FROM noting WHERE n = 2"),
            Sql("SELECT 1"),
            Sql("SELECT @noted"),
            Com(Command::ResetConnection, b""),
            Prepare(0, "SELECT n FROM noting WHERE n = 3"),
            Execute(0, &[], Without),
            Execute(0, &[], ReadOnly),
            Fetch(0),
            Sql("SELECT @noted"),
            Com(Command::ResetConnection, b""),
            Sql("BEGIN"),
            Sql("SELECT n FROM noting WHERE n = 4"),
            Sql("SET time_zone = '+01:00'"),
            Sql("SELECT n FROM noting WHERE n = 1"),
            Prepare(1, "SELECT @noted, @@time_zone"),
            Execute(1, &[], Without),
            Sql("COMMIT"),
            Sql("SELECT @noted, @@time_zone"),
            Com(Command::ResetConnection, b""),
            Sql("BEGIN"),
            Sql("SELECT n FROM noting WHERE n = 4"),
            Sql("ROLLBACK"),
            Sql("SELECT @noted"),
        ],
    },
    Case {
        name: "a view calls a function that sets what is told",
        asks: false,
        steps: &[
            Sql("SELECT n FROM choosing"),
            Sql("SELECT @@time_zone"),
            Com(Command::Ping, b""),
            Com(Command::Ping, b""),
            Sql("SET time_zone = DEFAULT"),
            Sql("BEGIN"),
            Sql("SELECT n FROM choosing"),
            Sql("COMMIT"),
            Sql("SELECT n FROM choosing"),
            Sql("SET @x = 1"),
        ],
    },
    Case {
        name: "a query with a view is asked about",
        asks: true,
        steps: &[
            Sql("SELECT n, CAST('12x' AS SIGNED) FROM noting LIMIT 2"),
            Sql("SHOW WARNINGS"),
            Sql("SELECT n FROM noting"),
            Sql("SELECT ROW_COUNT()"),
            Sql("SELECT SQL_CALC_FOUND_ROWS n FROM noting LIMIT 1"),
            Sql("SELECT FOUND_ROWS()"),
        ],
    },
    Case {
        name: "errors of the guard's own are in the warnings",
        asks: true,
        steps: &[
            Com(Command::StmtExecute, b"\x78\x56\x34\x02\0\x01\0\0\0"),
            Sql("SHOW WARNINGS"),
            Com(Command::StmtFetch, b"\x78\x56\x34\x02\x01\0\0\0"),
            Com(Command::Ping, b""),
            Sql("SHOW ERRORS"),
            Com(Command::StmtReset, b"\x78\x56\x34\x02"),
            Sql("SELECT ROW_COUNT()"),
            Com(Command::SetOption, b"\x09\0"),
            Sql("SELECT @@error_count"),
            Sql("UPDATE t SET a = 5"),
            Com(Command::SetOption, b"\0\0"),
            Sql("SELECT ROW_COUNT()"),
            Sql("SELECT CAST('12x' AS INT)"),
            Sql("BEGIN"),
            Sql("COMMIT"),
            Sql("SHOW WARNINGS"),
            Sql("SELECT ROW_COUNT()"),
        ],
    },
    Case {
        name: "two statements of the same text have cursors of their own",
        asks: false,
        steps: &[
            Prepare(0, "SELECT id FROM t WHERE id > ? ORDER BY id"),
            Execute(0, &[0], ReadOnly),
            Fetch(0),
            Prepare(1, "SELECT id FROM t WHERE id > ? ORDER BY id"),
            Execute(1, &[1], ReadOnly),
            Fetch(1),
            Fetch(0),
            Reset(1),
            Fetch(1),
            Fetch(0),
            Close(0),
            Execute(1, &[2], ReadOnly),
            Fetch(1),
            Reset(1),
        ],
    },
    Case {
        name: "two statements of the same text have long data of their own",
        asks: false,
        steps: &[
            Prepare(0, "SELECT LENGTH(?)"),
            LongData(0),
            Prepare(1, "SELECT LENGTH(?)"),
            Execute(1, &[7], Without),
            LongData(1),
            LongData(0),
            ExecuteSentAhead(0),
            ExecuteSentAhead(1),
        ],
    },
    Case {
        name: "a statement without a cursor in a read-only transaction",
        asks: false,
        steps: &[
            Prepare(0, "INSERT INTO t (a) VALUES (?)"),
            Sql("START TRANSACTION READ ONLY"),
            Sql("SELECT 1"),
            Fetch(0),
            Reset(0),
            LongData(0),
            ExecuteSentAhead(0),
            Sql("SELECT 1"),
            Sql("COMMIT"),
        ],
    },
    Case {
        name: "a client sets the trackers itself",
        asks: true,
        steps: &[
            Sql("SET session_track_system_variables = 'sql_mode'"),
            Sql("SELECT ROW_COUNT()"),
            Sql("SET session_track_state_change = ON"),
            Sql("SET sql_mode = ''"),
            Sql("SET @x = 1"),
            Sql("BEGIN"),
            Sql("COMMIT"),
            Sql("INSERT INTO child VALUES (1, 99)"),
            Sql("BEGIN"),
            Sql("ROLLBACK"),
            Sql("SET session_track_schema = OFF, session_track_transaction_info = 'STATE'"),
            Sql("USE app"),
            Sql("BEGIN"),
            Sql("COMMIT"),
            Prepare(0, "SELECT \"a\", @@sql_mode"),
            Sql("SET sql_mode = 'ANSI_QUOTES'"),
            Prepare(1, "SELECT \"a\", @@sql_mode"),
            Execute(0, &[], Without),
            Com(Command::ResetConnection, b""),
            Sql("USE app"),
            Sql("SET @x = 1"),
        ],
    },
    Case {
        name: "variables for one statement are those of before after it",
        asks: false,
        steps: &[
            Sql("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
            Sql("SET STATEMENT sql_mode = '', time_zone = '+09:00' FOR SELECT @@sql_mode"),
            Com(Command::SetOption, b"\0\0"),
            Sql("SELECT @@sql_mode, 'a\\'"),
            Sql("SET STATEMENT sql_mode = '' FOR SELEC"),
            Sql("SELECT @@sql_mode, @@time_zone"),
        ],
    },
    Case {
        name: "to prepare an assignment makes the variable",
        asks: false,
        steps: &[Prepare(0, "SET @x = ?"), Sql("SELECT 1"), Sql("SELECT @x")],
    },
];
