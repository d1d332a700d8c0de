//! COPY, both ways and in both protocols, and a replication stream, its WAL cut short.

use wire::postgres::result::Request::{Bind, CopyEnd, DescribePortal, Execute, Parse, Query, Sync};

use super::{Session, Step};

pub(super) const SESSIONS: &[Session] = &[
    Session {
        name: "copy_in_simple",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[CopyEnd],
                reply: b"C\0\0\0\x0BCOPY 2\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G0 C0 Z0",
    },
    Session {
        name: "copy_in_simple_fails",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[CopyEnd],
                reply: b"E\0\0\0\x85SERROR\0VERROR\0C22P02\0Minvalid input syntax for type integer: \"x\"\0WCOPY t, line 1, column a: \"x\"\0Fnumutils.c\0L232\0Rpg_strtoint32\0\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Sync],
                reply: b"Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G0 E0 Z0 Z2 C3 Z3",
    },
    Session {
        name: "copy_in_simple_given_up",
        steps: &[
            Step {
                sent: &[Query, CopyEnd],
                reply: b"G\0\0\0\x0B\0\0\x02\0\0\0\0\
                    E\0\0\0nSERROR\0VERROR\0C57014\0MCOPY from stdin failed: no more\0WCOPY t, line 1\0Fcopyfromparse.c\0L315\0RCopyGetData\0\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G0 E0 Z0",
    },
    Session {
        name: "copy_in_extended_as_libpq",
        steps: &[
            Step {
                sent: &[Parse, Bind, DescribePortal, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    n\0\0\0\x04\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[CopyEnd, Sync],
                reply: b"C\0\0\0\x0BCOPY 1\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G3 C3 Z6 C7 Z7",
    },
    Session {
        name: "copy_in_extended_at_once",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, CopyEnd, Sync, Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0\
                    C\0\0\0\x0BCOPY 1\0\
                    Z\0\0\0\x05I\
                    1\0\0\0\x04\
                    2\0\0\0\x04\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G2 C2 Z4 C7 Z8",
    },
    Session {
        name: "copy_in_extended_fails",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[],
                reply: b"E\0\0\0\x85SERROR\0VERROR\0C22P02\0Minvalid input syntax for type integer: \"x\"\0WCOPY t, line 1, column a: \"x\"\0Fnumutils.c\0L232\0Rpg_strtoint32\0\0",
            },
            Step {
                sent: &[CopyEnd, Sync],
                reply: b"Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G2 E2 Z5 C6 Z6",
    },
    Session {
        name: "copy_in_extended_given_up",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[CopyEnd, Sync],
                reply: b"E\0\0\0nSERROR\0VERROR\0C57014\0MCOPY from stdin failed: no more\0WCOPY t, line 2\0Fcopyfromparse.c\0L315\0RCopyGetData\0\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"I\0\0\0\x04\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G2 E2 Z5 Z6",
    },
    Session {
        name: "copy_in_extended_fails_before_the_sync",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    G\0\0\0\t\0\0\x01\0\0\
                    E\0\0\0qSERROR\0VERROR\0CP0001\0Mnot today\0WPL/pgSQL function boom() line 1 at RAISE\0Fpl_exec.c\0L3891\0Rexec_stmt_raise\0\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[CopyEnd, Sync],
                reply: b"Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G2 E2 Z- Z5 C6 Z6",
    },
    Session {
        name: "copies_in_one_query",
        steps: &[
            Step {
                sent: &[Query, CopyEnd],
                reply: b"G\0\0\0\x0B\0\0\x02\0\0\0\0\
                    C\0\0\0\x0BCOPY 1\0\
                    H\0\0\0\t\0\0\x01\0\0\
                    d\0\0\0\x061\n\
                    d\0\0\0\x062\n\
                    c\0\0\0\x04\
                    C\0\0\0\x0BCOPY 2\0\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0",
            },
            Step {
                sent: &[CopyEnd],
                reply: b"C\0\0\0\x0BCOPY 1\0\
                    T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "G0 C0 H0 C0 G0 C0 C0 Z0",
    },
    Session {
        name: "copy_out_simple",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"H\0\0\0\x0B\0\0\x02\0\0\0\0\
                    d\0\0\0\n1\tone\n\
                    c\0\0\0\x04\
                    C\0\0\0\x0BCOPY 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "H0 C0 Z0",
    },
    Session {
        name: "copy_out_extended",
        steps: &[
            Step {
                sent: &[Parse, Bind, DescribePortal, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    n\0\0\0\x04\
                    H\0\0\0\x0B\x01\0\x02\0\x01\0\x01\
                    d\0\0\0(PGCOPY\n\xFF\x0D\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x03one\
                    d\0\0\0\x06\xFF\xFF\
                    c\0\0\0\x04\
                    C\0\0\0\x0BCOPY 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "H3 C3 Z4",
    },
    Session {
        name: "copy_out_fails",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"H\0\0\0\t\0\0\x01\0\0\
                    d\0\0\0\x061\n\
                    E\0\0\0ASERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L869\0Rint4div\0\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Parse, Bind, Execute, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    H\0\0\0\t\0\0\x01\0\0\
                    d\0\0\0\x061\n\
                    E\0\0\0ASERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L869\0Rint4div\0\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "H0 E0 Z0 H3 E3 Z5",
    },
    Session {
        name: "fatal_in_copy_in",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, Sync, Parse, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    G\0\0\0\x0B\0\0\x02\0\0\0\0\
                    E\0\0\0\x82SERROR\0VERROR\0C08P01\0Munexpected message type 0x50 during COPY from stdin\0WCOPY t, line 1\0Fcopyfromparse.c\0L292\0RCopyGetData\0\0\
                    E\0\0\0|SFATAL\0VFATAL\0C08P01\0Mterminating connection because protocol synchronization was lost\0Fpostgres.c\0L4429\0RPostgresMain\0\0",
            },
        ],
        events: "G2 E2 E-",
    },
    Session {
        name: "replication",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"T\0\0\0o\0\x04systemid\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0timeline\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0xlogpos\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0dbname\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\x003\0\x04\0\0\0\x137710470887551460325\0\0\0\x011\0\0\0\t0/1575090\xFF\xFF\xFF\xFF\
                    C\0\0\0\x14IDENTIFY_SYSTEM\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query, Query],
                reply: b"T\0\0\0\x85\0\x04slot_name\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0consistent_point\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0snapshot_name\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0output_plugin\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x1A\0\x04\0\0\0\x01s\0\0\0\x030/0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
                    C\0\0\0\x1CCREATE_REPLICATION_SLOT\0\
                    Z\0\0\0\x05I\
                    W\0\0\0\x07\0\0\0\
                    d\0\0\0\x14w0123456789abcde\
                    d\0\0\0\x14w0123456789abcde\
                    d\0\0\0\x14w0123456789abcde\
                    d\0\0\0\x14w0123456789abcde",
            },
            Step {
                sent: &[CopyEnd],
                reply: b"c\0\0\0\x04\
                    C\0\0\0\x14START_STREAMING\0\
                    C\0\0\0\x16START_REPLICATION\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 Z0 C1 Z1 W2 C2 C2 Z2",
    },
];
