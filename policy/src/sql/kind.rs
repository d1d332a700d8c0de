//! The kinds of statements, and how a transaction begins.

use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What a statement does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind, from the most harmless to the most dangerous: of several statements in
            /// one text, the last in this order names the kind of all.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name in configuration and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// Nothing but space and comments.
    Empty = "empty",
    /// USE.
    Use = "use",
    /// SHOW.
    Show = "show",
    /// EXPLAIN, DESCRIBE.
    Explain = "explain",
    /// SET.
    Set = "set",
    /// RESET of PostgreSQL's parameters.
    Reset = "reset",
    /// DISCARD.
    Discard = "discard",
    /// DO of MySQL.
    Do = "do",
    /// LISTEN.
    Listen = "listen",
    /// UNLISTEN.
    Unlisten = "unlisten",
    /// NOTIFY.
    Notify = "notify",
    /// DEALLOCATE, DEALLOCATE PREPARE, DROP PREPARE.
    Deallocate = "deallocate",
    /// CLOSE.
    Close = "close",
    /// BEGIN, START TRANSACTION.
    Begin = "begin",
    /// SAVEPOINT, RELEASE SAVEPOINT, ROLLBACK TO.
    Savepoint = "savepoint",
    /// COMMIT, END.
    Commit = "commit",
    /// ROLLBACK, ABORT.
    Rollback = "rollback",
    /// UNLOCK TABLES.
    UnlockTables = "unlock_tables",
    /// SELECT, TABLE, VALUES, WITH … SELECT without locking.
    Select = "select",
    /// COPY … TO.
    CopyTo = "copy_to",
    /// DECLARE of a cursor.
    Declare = "declare",
    /// FETCH, MOVE.
    Fetch = "fetch",
    /// HANDLER.
    Handler = "handler",
    /// PREPARE.
    Prepare = "prepare",
    /// SELECT … FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE, LOCK IN SHARE MODE.
    LockingSelect = "locking_select",
    /// INSERT.
    Insert = "insert",
    /// REPLACE.
    Replace = "replace",
    /// UPDATE.
    Update = "update",
    /// DELETE.
    Delete = "delete",
    /// MERGE.
    Merge = "merge",
    /// COPY … FROM.
    CopyFrom = "copy_from",
    /// LOAD DATA, LOAD XML.
    Load = "load",
    /// EXECUTE, EXECUTE IMMEDIATE.
    Execute = "execute",
    /// CALL; DO of PostgreSQL, which runs any code.
    Call = "call",
    /// XA; PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    Xa = "xa",
    /// Everything that is not known.
    Other = "other",
    /// LOCK TABLES, LOCK, FLUSH TABLES WITH READ LOCK.
    LockTables = "lock_tables",
    /// KILL.
    Kill = "kill",
    /// ANALYZE, CHECK, OPTIMIZE, REPAIR, VACUUM, CLUSTER, REINDEX, CHECKPOINT, FLUSH, RESET of MySQL,
    /// LOAD of PostgreSQL, replication and server control.
    Admin = "admin",
    /// CREATE, ALTER, DROP, RENAME, TRUNCATE, GRANT, REVOKE, COMMENT, SECURITY LABEL, REFRESH, IMPORT,
    /// SELECT INTO of PostgreSQL.
    Ddl = "ddl",
}

impl Kind {
    /// Whether a statement of this kind alone neither waits for a row nor keeps one from others. EXPLAIN
    /// may run what it explains, and is not among them.
    #[must_use]
    pub const fn takes_no_locks(self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::Use
                | Self::Show
                | Self::Set
                | Self::Reset
                | Self::Listen
                | Self::Unlisten
                | Self::Deallocate
                | Self::Close
                | Self::Commit
                | Self::Rollback
                | Self::Select
                | Self::CopyTo
        )
    }

    /// Whether a statement of this kind reads or writes data and does no more: all that it may leave in
    /// its session is what an expression in it does, or a transaction without autocommit.
    #[must_use]
    pub const fn touches_data_alone(self) -> bool {
        matches!(
            self,
            Self::Select
                | Self::LockingSelect
                | Self::Insert
                | Self::Update
                | Self::Delete
                | Self::Replace
                | Self::Show
                | Self::Explain
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such kind of statement")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownKind)
    }
}

/// How a transaction begins that may be answered without the server.
///
/// MySQL: WITH CONSISTENT SNAPSHOT and combinations are absent: they do something at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Begin {
    /// BEGIN, BEGIN WORK, START TRANSACTION.
    Plain,
    /// START TRANSACTION READ ONLY; in PostgreSQL also BEGIN READ ONLY.
    ReadOnly,
    /// START TRANSACTION READ WRITE.
    ReadWrite,
    /// PostgreSQL's BEGIN or START TRANSACTION with other modes, or with several (ISOLATION LEVEL, READ WRITE,
    /// DEFERRABLE): to be carried out later as the client wrote it.
    Modes,
}
