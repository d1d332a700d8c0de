//! Whose draws `currval()` and `lastval()` tell on a connection.
//!
//! A backend remembers what was drawn from sequences until it ends, or until DISCARD SEQUENCES. That
//! costs a statement, so it is sent only where somebody asks. Once an account was seen to ask, or code
//! in its database does ([`ASKED_BY_CODE`]), whenever a connection changes hands: the server then
//! answers as on a fresh connection.
//!
//! The first question of all finds connections that know what others have drawn. Where the session has
//! run nothing there that may draw, they forget that first; behind an INSERT by itself they do not, and
//! answer. In a transaction the statements before it may have drawn, or not; but the server locks each sequence that is drawn from until the
//! transaction ends. So before the question a block is run there ([`forget_unless_drawn`]):
//!
//! | the transaction holds | and asks | then |
//! |---|---|---|
//! | no sequence | | all draws are forgotten, and the question is refused as on a fresh connection |
//! | some | `lastval()`, `currval()` of these | it is answered: these are its own |
//! | some | anything else | it is refused (40001): the next attempt begins on a clean connection |
//!
//! ALTER SEQUENCE and `setval()` lock as a draw does, and are taken for one.

use policy::sql::{Dialect, Effects, Kind, Shape, sequences_asked};

/// What makes a connection forget all draws. Allowed in a transaction, and not undone by its end.
pub const FORGET: &str = "DISCARD SEQUENCES";

/// Whether code of the database's users asks: a function by its text, a default, a view or a rule by
/// what it was parsed to. 1575 and 2559 are `currval` and `lastval` in every version.
/// (postgres:src/include/catalog/pg_proc.dat)
pub const ASKED_BY_CODE: &str = "SELECT \
    EXISTS(SELECT FROM pg_catalog.pg_proc AS p WHERE oid OPERATOR(pg_catalog.>=) 16384 AND \
     (prosrc OPERATOR(pg_catalog.~*) '(curr|last)val' OR \
      (pg_catalog.to_jsonb(p) OPERATOR(pg_catalog.->>) 'prosqlbody') \
       OPERATOR(pg_catalog.~) ':funcid (1575|2559) ')) OR \
    EXISTS(SELECT FROM pg_catalog.pg_attrdef \
     WHERE adbin::pg_catalog.text OPERATOR(pg_catalog.~) ':funcid (1575|2559) ') OR \
    EXISTS(SELECT FROM pg_catalog.pg_rewrite WHERE oid OPERATOR(pg_catalog.>=) 16384 AND \
     ev_action::pg_catalog.text OPERATOR(pg_catalog.~) ':funcid (1575|2559) ')";

/// Whose draws a connection knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Draws {
    /// The session's that uses it.
    #[default]
    Own,
    /// Another's, and none of the session's.
    Others,
    /// Another's, and perhaps what the session has drawn by the statements that run now.
    Mixed,
}

impl Draws {
    /// Behind a statement of the session. One that asks has been seen to already.
    pub fn run(&mut self, shape: &Shape) {
        if *self == Self::Others && may_draw(shape) && !asks(shape) {
            *self = Self::Mixed;
        }
    }

    /// Before the session's next statement, or another session's; no transaction is open. What it may
    /// have drawn by itself is not forgotten for what others have: it would be told that it has drawn
    /// nothing.
    pub fn change_hands(&mut self, is_same_session: bool) {
        *self = match *self {
            _ if !is_same_session => Self::Others,
            Self::Mixed => Self::Own,
            draws => draws,
        };
    }
}

/// Whether a statement asks what was drawn.
pub fn asks(shape: &Shape) -> bool {
    shape.effects.contains(Effects::LAST_INSERT_ID)
}

/// Whether a statement may draw from a sequence: by its text, a default, a trigger or a function.
pub fn may_draw(shape: &Shape) -> bool {
    const MAY: Effects = Effects::DRAWS
        .or(Effects::CALLS)
        .or(Effects::MULTI)
        .or(Effects::TRUNCATED)
        .or(Effects::DYNAMIC);
    let reads = shape.kind <= Kind::LockingSelect && shape.kind != Kind::Explain;
    !reads || shape.effects.intersects(MAY)
}

/// The block that goes before `question`, a statement that asks in the middle of a transaction. It
/// needs the language `plpgsql`; without that, the question is refused.
pub fn forget_unless_drawn(question: &[u8], dialect: Dialect) -> String {
    const QUOTE: &str = "$tidegate$";
    let own = match sequences_asked(question, dialect) {
        Some(asked) => asked.iter().fold("true".to_owned(), |own, argument| {
            let argument = String::from_utf8_lossy(argument);
            format!(
                "{own} AND ({argument})::pg_catalog.regclass::pg_catalog.oid \
                 OPERATOR(pg_catalog.=) ANY(held)"
            )
        }),
        None => "false".to_owned(),
    };
    // What would end the block's text early cannot be compared.
    let own = if own.contains(QUOTE) { "false" } else { &own };
    format!(
        "DO {QUOTE}DECLARE held pg_catalog.oid[]; BEGIN \
         SELECT pg_catalog.array_agg(relation) INTO held FROM pg_catalog.pg_locks AS l \
         JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation \
         WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
         AND mode OPERATOR(pg_catalog.=) 'RowExclusiveLock' \
         AND relkind OPERATOR(pg_catalog.=) 'S'; \
         IF held IS NULL THEN {FORGET}; \
         ELSIF NOT ({own}) THEN RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = \
         'tidegate: what this transaction has drawn cannot be told from what others have', \
         HINT = 'Run the transaction again.'; \
         END IF; END {QUOTE}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_can_say_nothing_to_the_block() {
        let block = |question: &str| {
            let dialect = Dialect::Postgres { standard_conforming_strings: true };
            forget_unless_drawn(question.as_bytes(), dialect)
        };
        assert!(block("SELECT lastval()").contains("IF NOT (true)"));
        assert!(block("SELECT currval('a')").contains("('a')::pg_catalog.regclass"));
        assert!(block("SELECT currval('$tidegate$; DROP TABLE t')").contains("IF NOT (false)"));
        assert!(block("SELECT currval($1)").contains("IF NOT (false)"));
    }
}
