//! The closed sets of values that labels have.

use policy::{melt::Cause, refusal::Reason, trigger};

use crate::session::pins::Pin;

/// A label whose values are known beforehand.
pub trait Label: Copy + 'static {
    /// The name of the label.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// The value in the exposition.
    fn as_str(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn index(self) -> usize;
}

macro_rules! labels {
    ($(
        $(#[$doc:meta])*
        $label:ident as $name:literal { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $label { $($(#[$value_doc])* $value,)* }

        impl Label for $label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}

labels! {
    /// What became of a read that may go to a replica.
    ReadOutcome as "outcome" {
        /// It went to a replica.
        Replica = "replica",
        /// It went to the primary: no replica was fit for it.
        Primary = "primary",
        /// It was refused: no replica was fit for it.
        Refused = "refused",
        /// Its replica failed, and it was carried elsewhere.
        FailedOver = "failed_over",
        /// It would have gone, if the mode were enforce.
        Observed = "observed",
    }

    /// What pressure is made of.
    PressurePart as "part" {
        /// In flight over the limit.
        Limit = "limit",
        /// Waiting for a turn.
        Queue = "queue",
        /// Waiting for locks.
        Locks = "locks",
        /// Replication lag.
        Lag = "lag",
        /// Refused, or failed because of load.
        Errors = "errors",
        /// The database cannot be reached.
        Lost = "lost",
    }

    /// How a statement ended.
    StatementOutcome as "outcome" {
        /// The server answered.
        Ok = "ok",
        /// The server answered with an error.
        Error = "error",
        /// The guard refused it.
        Shed = "shed",
        /// A time limit cancelled it.
        TimeLimit = "time_limit",
        /// Others waited for its locks, and it was cancelled.
        Melted = "melted",
        /// Its client went away and it was cancelled.
        ClientGone = "client_gone",
        /// The upstream connection broke.
        UpstreamLost = "upstream_lost",
    }

    /// How a transaction ended.
    TransactionOutcome as "outcome" {
        /// It was committed, or was one statement with autocommit that succeeded.
        Committed = "committed",
        /// Its client rolled it back, or its only statement failed.
        RolledBack = "rolled_back",
        /// A time limit ended it.
        TimeLimit = "time_limit",
        /// Others waited for its locks, and it was rolled back.
        Melted = "melted",
        /// Its client went away and it was rolled back.
        ClientGone = "client_gone",
        /// The upstream connection broke; whether a running COMMIT took effect is not known.
        UpstreamLost = "upstream_lost",
    }

    /// Why a statement was cancelled.
    CancelCause as "cause" {
        /// It ran too long.
        StatementTime = "statement_time",
        /// Its transaction took too long.
        TransactionTime = "transaction_time",
        /// Others waited for its locks.
        Melt = "melt",
        /// Its client went away, or left the guard unable to write to it.
        ClientGone = "client_gone",
        /// Another client asked for it with KILL.
        Kill = "kill",
        /// The guard was shutting down.
        Drain = "drain",
    }

    /// What a client is doing.
    ClientState as "state" {
        /// Logging in, or waiting to.
        LoggingIn = "logging_in",
        /// Between transactions.
        Idle = "idle",
        /// Waiting for its turn.
        Waiting = "waiting",
        /// A statement runs.
        Running = "running",
        /// In a transaction, and no statement runs.
        IdleInTransaction = "idle_in_transaction",
    }

    /// How the arrival of a client ended.
    ClientOutcome as "outcome" {
        /// It is logged in.
        Accepted = "accepted",
        /// Its name or password is wrong.
        LoginFailed = "login_failed",
        /// It took too long.
        LoginTimeout = "login_timeout",
        /// TLS failed, or is required and was not used.
        TlsFailed = "tls_failed",
        /// It does not speak the protocol.
        Malformed = "malformed",
        /// The database could not be asked.
        Upstream = "upstream",
        /// It went away by itself.
        Gone = "gone",
        /// It only came to have a statement cancelled (PostgreSQL).
        CancelRequest = "cancel_request",
    }

    /// Why a client that was logged in is gone.
    Disconnect as "cause" {
        /// It said goodbye.
        Quit = "quit",
        /// It went without saying so, or did not read for too long.
        Gone = "gone",
        /// It was silent for too long.
        IdleTimeout = "idle_timeout",
        /// It broke the protocol.
        Malformed = "malformed",
        /// Another client asked for it with KILL.
        Killed = "killed",
        /// Its upstream connection broke while holding state that cannot be rebuilt.
        UpstreamLost = "upstream_lost",
        /// More notifications waited for it than may (PostgreSQL).
        Notifications = "notifications",
        /// The guard was shutting down.
        Drain = "drain",
        /// The session panicked.
        Panic = "panic",
    }

    /// What an upstream connection is doing.
    ConnectionState as "state" {
        /// Clean and unused; it may linger with the session that used it last.
        Idle = "idle",
        /// A session has it.
        Leased = "leased",
        /// Being opened, or waiting for its turn to be.
        Connecting = "connecting",
        /// A cancelled statement or a rollback is being waited for.
        Reclaiming = "reclaiming",
    }

    /// How an attempt to connect to the server ended.
    ConnectOutcome as "outcome" {
        /// Logged in.
        Ok = "ok",
        /// It could not be reached.
        Unreachable = "unreachable",
        /// It took too long.
        Timeout = "timeout",
        /// The server refused the account.
        Denied = "denied",
        /// The server has no connections left.
        Full = "full",
        /// TLS failed.
        TlsFailed = "tls_failed",
        /// Anything else.
        Failed = "failed",
    }

    /// What an open transaction does in the database.
    Activity as "activity" {
        /// Its statement is worked on.
        Runs = "runs",
        /// It waits for its client.
        Idle = "idle",
        /// It waits for a lock.
        Waits = "waits",
        /// It is being committed.
        Commits = "commits",
        /// It is being undone.
        RollsBack = "rolls_back",
        /// It was prepared for two-phase commit.
        Prepared = "prepared",
    }

    /// What came of a question to the database.
    LookOutcome as "outcome" {
        /// It was answered.
        Ok = "ok",
        /// It was refused, or the answer could not be read.
        Failed = "failed",
    }

    /// What became of a transaction that was to be melted.
    MeltOutcome as "outcome" {
        /// The next looks did not find it any more.
        Gone = "gone",
        /// It was still there two seconds later.
        Stayed = "stayed",
        /// It had ended by itself, or its client went on.
        Missed = "missed",
        /// The database refused to end it.
        Refused = "refused",
    }

    /// How a reload ended.
    Reload as "outcome" {
        /// The new configuration holds.
        Ok = "ok",
        /// It is wrong; the old one holds.
        Failed = "failed",
    }
}

impl Label for Reason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Cause {
    const NAME: &'static str = "cause";
    const ALL: &'static [Self] = &[Self::IdleBlocker, Self::RootBlocker, Self::Waiter];

    fn as_str(self) -> &'static str {
        match self {
            Self::IdleBlocker => "idle_blocker",
            Self::RootBlocker => "root_blocker",
            Self::Waiter => "waiter",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for trigger::Cause {
    const NAME: &'static str = "cause";
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Pin {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        self.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}
