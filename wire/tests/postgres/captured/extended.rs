//! Extended protocol, pipelined and not.

use wire::postgres::result::Request::{
    Bind, Close, CopyEnd, DescribePortal, DescribeStatement, Execute, FunctionCall, Parse, Query,
    Sync,
};

use super::{Session, Step};

pub(super) const SESSIONS: &[Session] = &[
    Session {
        name: "extended_pipelined",
        steps: &[
            Step {
                sent: &[Parse, DescribeStatement, Bind, DescribePortal, Execute, Sync, Parse, Bind, DescribePortal, Execute, Sync, Close, Sync],
                reply: b"1\0\0\0\x04\
                    t\0\0\0\n\0\x01\0\0\0\x17\
                    T\0\0\0\x1D\0\x01int4\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    2\0\0\0\x04\
                    T\0\0\0\x1D\0\x01int4\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x017\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I\
                    1\0\0\0\x04\
                    2\0\0\0\x04\
                    n\0\0\0\x04\
                    C\0\0\0\x08SET\0\
                    S\0\0\0\x17application_name\0x\0\
                    Z\0\0\0\x05I\
                    3\0\0\0\x04\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C4 Z5 C9 S10 Z10 Z12",
    },
    Session {
        name: "extended_error",
        steps: &[
            Step {
                sent: &[Parse, Bind, DescribePortal, Execute, Parse, Bind, Execute, Sync, Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    E\0\0\0ASERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L869\0Rint4div\0\0\
                    Z\0\0\0\x05I\
                    1\0\0\0\x04\
                    2\0\0\0\x04\
                    D\0\0\0\x0B\0\x01\0\0\0\x013\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "E1 Z7 C10 Z11",
    },
    Session {
        name: "query_after_an_error_is_skipped",
        steps: &[
            Step {
                sent: &[Parse, Query, FunctionCall, CopyEnd, Close, Sync, Query],
                reply: b"E\0\0\0]SERROR\0VERROR\0C42601\0Msyntax error at or near \"selec\"\0P1\0Fscan.l\0L1188\0Rscanner_yyerror\0\0\
                    Z\0\0\0\x05I\
                    T\0\0\0\x1A\0\x01b\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x012\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "E0 Z5 C6 Z6",
    },
    Session {
        name: "error_without_sync",
        steps: &[
            Step {
                sent: &[Parse],
                reply: b"E\0\0\0]SERROR\0VERROR\0C42601\0Msyntax error at or near \"selec\"\0P1\0Fscan.l\0L1188\0Rscanner_yyerror\0\0",
            },
            Step {
                sent: &[Bind, Execute],
                reply: b"",
            },
            Step {
                sent: &[Sync],
                reply: b"Z\0\0\0\x05I",
            },
        ],
        events: "E0 Z3",
    },
    Session {
        name: "portal_suspended",
        steps: &[
            Step {
                sent: &[Query, Parse, Bind, Execute],
                reply: b"C\0\0\0\nBEGIN\0\
                    Z\0\0\0\x05T\
                    1\0\0\0\x04\
                    2\0\0\0\x04\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    D\0\0\0\x0B\0\x01\0\0\0\x012\
                    s\0\0\0\x04",
            },
            Step {
                sent: &[Execute, Sync],
                reply: b"D\0\0\0\x0B\0\x01\0\0\0\x013\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05T",
            },
            Step {
                sent: &[Query],
                reply: b"C\0\0\0\x0BCOMMIT\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 Z0 C4 Z5 C6 Z6",
    },
    Session {
        name: "empty_statement",
        steps: &[
            Step {
                sent: &[Parse, Bind, DescribePortal, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    n\0\0\0\x04\
                    I\0\0\0\x04\
                    Z\0\0\0\x05I",
            },
        ],
        events: "Z4",
    },
    Session {
        name: "sync_fails_to_commit",
        steps: &[
            Step {
                sent: &[Parse, Bind, Execute, Sync, Query],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    C\0\0\0\x0FINSERT 0 2\0\
                    E\0\0\0\xA7SERROR\0VERROR\0C23505\0Mduplicate key value violates unique constraint \"u_pkey\"\0DKey (a)=(1) already exists.\0spublic\0tu\0nu_pkey\0Fnbtinsert.c\0L664\0R_bt_check_unique\0\0\
                    Z\0\0\0\x05I\
                    T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C2 E3 Z3 C4 Z4",
    },
];
