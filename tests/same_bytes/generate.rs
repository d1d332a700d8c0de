//! Sessions by chance: everything follows from the seed.

#[path = "generate/binary.rs"]
mod binary;
#[path = "generate/session.rs"]
mod session;
#[path = "generate/text.rs"]
mod text;

use std::collections::HashSet;

use fastrand::Rng;
use harness::{APP, Engine, OTHER};
use wire::mysql::Capabilities;

use super::script::Step;
use super::world::Session;

/// What all clients ask for.
const BASE: Capabilities = Capabilities(
    Capabilities::LONG_FLAG.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0,
);
const DEPRECATE_EOF: Capabilities = Capabilities::DEPRECATE_EOF;
const SESSION_TRACK: Capabilities = Capabilities::SESSION_TRACK;
const LOCAL_FILES: Capabilities = Capabilities::LOCAL_FILES;
/// What only MySQL's own clients ask for.
const MYSQL: Capabilities =
    Capabilities(Capabilities::QUERY_ATTRIBUTES.0 | Capabilities::OPTIONAL_RESULTSET_METADATA.0);
const MULTI_STATEMENTS: Capabilities = Capabilities::MULTI_STATEMENTS;
/// What only MariaDB's own clients ask for.
const MARIADB: Capabilities = Capabilities(
    Capabilities::PROGRESS.0
        | Capabilities::STMT_BULK_OPERATIONS.0
        | Capabilities::EXTENDED_METADATA.0
        | Capabilities::CACHE_METADATA.0,
);

/// The capability sets that change what is on the wire.
pub(crate) fn capability_sets() -> [Capabilities; 8] {
    [
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS,
        BASE | MULTI_STATEMENTS | LOCAL_FILES,
        BASE | DEPRECATE_EOF,
        BASE | SESSION_TRACK | MULTI_STATEMENTS,
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS | Capabilities::FOUND_ROWS,
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS | LOCAL_FILES | MARIADB,
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS | LOCAL_FILES | MYSQL,
        BASE | MULTI_STATEMENTS | Capabilities::FOUND_ROWS | Capabilities::IGNORE_SPACE,
    ]
}

/// Sessions in a row that have the same capabilities, so that connections can pass between them.
const SAME_CAPABILITIES: u64 = 30;

/// Steps of a session, at least and at most.
const LENGTH: std::ops::Range<usize> = 15..60;

/// The session of a seed.
pub(crate) fn generate(engine: Engine, seed: u64) -> Session {
    let sets = capability_sets();
    let phase = usize::try_from(seed / SAME_CAPABILITIES).unwrap_or(0);
    let mut rng = Rng::with_seed(seed);
    // Only this account asks about the statement before: for such accounts the guard keeps
    // connections, and the others' are to change hands.
    let asks = rng.u8(..4) == 0;
    let capabilities = sets[phase % sets.len()];
    let mut generator = Generator {
        engine,
        rng,
        cursors: HashSet::new(),
        asks,
        steps: Vec::new(),
        prepared: Vec::new(),
        is_pipelined: false,
        has_bulk: engine.is_mariadb() && capabilities.contains(MARIADB),
    };
    let length = generator.rng.usize(LENGTH);
    while generator.steps.len() < length {
        generator.extend();
    }
    Session {
        name: format!("TG_SEED={seed} TG_SESSIONS=1"),
        account: if asks { OTHER } else { APP },
        capabilities,
        steps: generator.steps,
    }
}

/// A session in the making.
struct Generator {
    engine: Engine,
    /// The slots that were executed with a cursor.
    cursors: HashSet<usize>,
    rng: Rng,
    asks: bool,
    steps: Vec<Step>,
    /// How many parameters the statement in each slot has.
    prepared: Vec<usize>,
    /// Steps are made for one write: a server refuses an execution without types there that the
    /// guard can carry out.
    is_pipelined: bool,
    /// Rows of parameters may be sent in bulk.
    has_bulk: bool,
}

impl Generator {
    /// Adds one or a few steps that belong together.
    fn extend(&mut self) {
        match self.rng.u8(..100) {
            0..18 => self.query(Self::read),
            18..36 => self.query(Self::write),
            36..50 => self.query(Self::transaction),
            50..56 => self.query(Self::setting),
            56..59 => self.query(Self::scratch),
            59..64 => self.query(Self::mistake),
            64 => match self.rng.u8(..4) {
                0 => self.change_user(),
                1 => self.load(),
                _ => (0..self.rng.usize(1..5)).for_each(|_| self.query(Self::xa)),
            },
            65..68 => self.query(Self::change_of_tables),
            68..71 => self.several_statements(),
            71..74 => self.query(Self::call),
            74..77 => self.other_command(),
            77..80 if self.asks => self.query(Self::question),
            80..95 => self.binary(),
            95 => self.bulk(),
            96..99 => self.pipeline(),
            _ => self.query(Self::read),
        }
        if self.asks && self.rng.u8(..4) == 0 {
            self.query(Self::question);
        }
        if self.asks && self.rng.u8(..8) == 0 {
            self.rows_found();
        }
    }

    fn query(&mut self, make: fn(&mut Self) -> String) {
        let sql = make(self);
        self.steps.push(Step::Query(sql));
    }

    /// One of several texts.
    fn one_of(&mut self, texts: &[&str]) -> String {
        texts[self.rng.usize(..texts.len())].to_owned()
    }

    /// A small number.
    fn number(&mut self) -> i64 {
        self.rng.i64(-2..12)
    }

    /// Several commands in one write: whole fragments, so that PREPARE and EXECUTE may be among
    /// them.
    fn pipeline(&mut self) {
        let before = self.steps.len();
        self.is_pipelined = true;
        for _ in 0..self.rng.usize(2..5) {
            match self.rng.u8(..8) {
                0..2 => self.query(Self::read),
                2..4 => self.query(Self::write),
                4 => self.query(Self::scratch),
                5..6 => self.query(Self::transaction),
                6 => self.query(Self::mistake),
                _ => self.binary(),
            }
        }
        self.is_pipelined = false;
        let together = self.steps.split_off(before);
        self.steps.push(Step::Pipelined(together));
    }
}
