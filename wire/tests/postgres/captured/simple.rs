//! Simple protocol, and what comes unasked.

use wire::postgres::result::Request::{
    Bind, DescribePortal, Execute, FunctionCall, Parse, Query, Sync,
};

use super::{Session, Step};

pub(super) const SESSIONS: &[Session] = &[
    Session {
        name: "simple_statements",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    T\0\0\0\x1A\0\x01b\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0\
                    C\0\0\0\x0DSELECT 0\0\
                    C\0\0\0\x0FINSERT 0 1\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"I\0\0\0\x04\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"I\0\0\0\x04\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 C0 C0 Z0 Z1 Z2",
    },
    Session {
        name: "simple_error",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    E\0\0\0ASERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L869\0Rint4div\0\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1A\0\x01c\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x013\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 E0 Z0 C1 Z1",
    },
    Session {
        name: "simple_pipelined",
        steps: &[
            Step {
                sent: &[Query, Query, Query, Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I\
                    E\0\0\0]SERROR\0VERROR\0C42601\0Msyntax error at or near \"selec\"\0P1\0Fscan.l\0L1188\0Rscanner_yyerror\0\0\
                    Z\0\0\0\x05I\
                    C\0\0\0\nBEGIN\0\
                    C\0\0\0\x0ESAVEPOINT\0\
                    Z\0\0\0\x05T\
                    C\0\0\0\x0DROLLBACK\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 Z0 E1 Z1 C2 C2 Z2 C3 Z3",
    },
    Session {
        name: "function_calls",
        steps: &[
            Step {
                sent: &[FunctionCall, FunctionCall, Sync],
                reply: b"V\0\0\0\t\0\0\0\x013\
                    Z\0\0\0\x05I\
                    E\0\0\0^SERROR\0VERROR\0C42883\0Mfunction with OID 1 does not exist\0Ffastpath.c\0L139\0Rfetch_fp_info\0\0\
                    Z\0\0\0\x05I\
                    Z\0\0\0\x05I",
            },
        ],
        events: "Z0 E1 Z1 Z2",
    },
    Session {
        name: "asynchronous",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"C\0\0\0\x0BLISTEN\0\
                    C\0\0\0\x08SET\0\
                    N\0\0\0zSNOTICE\0VNOTICE\0C00000\0Mhello\0WPL/pgSQL function inline_code_block line 1 at RAISE\0Fpl_exec.c\0L3891\0Rexec_stmt_raise\0\0\
                    C\0\0\0\x07DO\0\
                    C\0\0\0\x0BNOTIFY\0\
                    A\0\0\0\x11\0\x000Sjobs\0one\0\
                    S\0\0\0\x18TimeZone\0Asia/Tokyo\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Parse, Bind, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    C\0\0\0\x0BNOTIFY\0\
                    A\0\0\0\x0E\0\x000Sjobs\0\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 C0 N0 C0 C0 A0 S0 Z0 C3 A4 Z4",
    },
    Session {
        name: "rule_adds_rows",
        steps: &[
            Step {
                sent: &[Query],
                reply: b"T\0\0\0\x1D\0\x01also\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x017\
                    C\0\0\0\x0FINSERT 0 1\0\
                    Z\0\0\0\x05I",
            },
            Step {
                sent: &[Parse, Bind, DescribePortal, Execute, Sync],
                reply: b"1\0\0\0\x04\
                    2\0\0\0\x04\
                    n\0\0\0\x04\
                    C\0\0\0\x0FINSERT 0 1\0\
                    Z\0\0\0\x05I",
            },
        ],
        events: "C0 Z0 C4 Z5",
    },
    Session {
        name: "fatal",
        steps: &[
            Step {
                sent: &[Query, Query, Query],
                reply: b"T\0\0\0\x1A\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x011\
                    C\0\0\0\x0DSELECT 1\0\
                    Z\0\0\0\x05I\
                    T\0\0\0-\0\x01pg_terminate_backend\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xFF\xFF\xFF\xFF\0\0\
                    D\0\0\0\x0B\0\x01\0\0\0\x01t\
                    E\0\0\0tSFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0Fpostgres.c\0L3211\0RProcessInterrupts\0\0",
            },
        ],
        events: "C0 Z0 E1",
    },
];
