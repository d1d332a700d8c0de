use wire::mysql::command::Command;

use super::{Capture, LEGACY};

pub(super) const REPLIES: &[Capture] = &[
    Capture {
        name: "USE",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "INIT_DB",
        caps: LEGACY,
        command: Command::InitDb,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "SET trackers",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "START TRANSACTION",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x07\0\0\x01\0\0\0\x03\0\0\0",
    },
    Capture {
        name: "INSERT",
        caps: LEGACY,
        command: Command::Query,
        bytes: b".\0\0\x01\0\x02\x01\x03\0\0\0&Records: 2  Duplicates: 0  Warnings: 0",
    },
    Capture {
        name: "ROLLBACK",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "SET",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "SELECT",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C-\0\x04\0\0\0\xFD\x01\0'\0\0\
            \x17\0\0\x03\x03def\0\0\0\x01y\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x05\0\0\x04\xFE\0\0\x02\0\
            \x03\0\0\x05\x01a\xFB\
            \x05\0\0\x06\xFE\0\0\x02@",
    },
    Capture {
        name: "SELECT nothing",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x1B\0\0\x02\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x05\0\0\x03\xFE\0\0\x02@\
            \x05\0\0\x04\xFE\0\0\x02@",
    },
    Capture {
        name: "multi-statement, the last is wrong",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x05\0\0\x03\xFE\0\0\x0A\0\
            \x02\0\0\x04\x011\
            \x05\0\0\x05\xFE\0\0\x0A@\
            \x07\0\0\x06\0\0\0\x0A\0\0\0\
            \x01\0\0\x07\x01\
            \x17\0\0\x08\x03def\0\0\0\x01y\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x05\0\0\x09\xFE\0\0\x0A\0\
            \x02\0\0\x0A\x012\
            \x05\0\0\x0B\xFE\0\0\x0A@\
            \xA0\0\0\x0C\xFF(\x04#42000You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'bad' at line 1",
    },
    Capture {
        name: "CALL with two results",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x17\0\0\x02\x03def\0\0\0\x01a\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x05\0\0\x03\xFE\0\0\x0A\0\
            \x02\0\0\x04\x011\
            \x05\0\0\x05\xFE\0\0\x0A@\
            \x01\0\0\x06\x01\
            \x17\0\0\x07\x03def\0\0\0\x01b\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x05\0\0\x08\xFE\0\0\x0A@\
            \x02\0\0\x09\x012\
            \x05\0\0\x0A\xFE\0\0\x0A@\
            \x07\0\0\x0B\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "ERR",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"%\0\0\x01\xFFz\x04#42S02Table 't.nope' doesn't exist",
    },
    Capture {
        name: "STATISTICS",
        caps: LEGACY,
        command: Command::Statistics,
        bytes: b"s\0\0\x01Uptime: 948  Threads: 4  Questions: 270  Slow queries: 0  Opens: 31  Open tables: 16  Queries per second avg: 0.284",
    },
    Capture {
        name: "PING",
        caps: LEGACY,
        command: Command::Ping,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "SET_OPTION",
        caps: LEGACY,
        command: Command::SetOption,
        bytes: b"\x05\0\0\x01\xFE\0\0\x02@",
    },
    Capture {
        name: "DEBUG",
        caps: LEGACY,
        command: Command::Debug,
        bytes: b"\x05\0\0\x01\xFE\0\0\x02@",
    },
    Capture {
        name: "FIELD_LIST",
        caps: LEGACY,
        command: Command::FieldList,
        bytes: b"\x1D\0\0\x01\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\x010\
            \x1C\0\0\x02\x03def\x01t\x01a\x01a\x01s\x01s\x0C-\0(\0\0\0\xFD\0\0\0\0\0\xFB\
            \x05\0\0\x03\xFE\0\0\x02@",
    },
    Capture {
        name: "PREPARE",
        caps: LEGACY,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x06\0\0\0\x02\0\x01\0\0\0\0\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x05\0\0\x03\xFE\0\0\x02\0\
            \x17\0\0\x04\x03def\0\0\0\x01x\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x1B\0\0\x05\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x05\0\0\x06\xFE\0\0\x02\0",
    },
    Capture {
        name: "PREPARE without definitions",
        caps: LEGACY,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x07\0\0\0\0\0\0\0\0\0\0",
    },
    Capture {
        name: "PREPARE without columns",
        caps: LEGACY,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x08\0\0\0\0\0\x01\0\0\0\0\
            \x17\0\0\x02\x03def\0\0\0\x01?\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x05\0\0\x03\xFE\0\0\x02\0",
    },
    Capture {
        name: "PREPARE, ERR",
        caps: LEGACY,
        command: Command::StmtPrepare,
        bytes: b"\xA0\0\0\x01\xFF(\x04#42000You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'bad' at line 1",
    },
    Capture {
        name: "EXECUTE",
        caps: LEGACY,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x15\0\0\0\x08\x81\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x05\0\0\x04\xFE\0\0\x22@\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x03\0\0\0\
            \x0E\0\0\x06\0\0\x07\0\0\0\0\0\0\0\x04\0\0\0\
            \x0E\0\0\x07\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x05\0\0\x08\xFE\0\0\x22@",
    },
    Capture {
        name: "EXECUTE again",
        caps: LEGACY,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x15\0\0\0\x08\x81\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x05\0\0\x04\xFE\0\0\x22@\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x03\0\0\0\
            \x0E\0\0\x06\0\0\x07\0\0\0\0\0\0\0\x04\0\0\0\
            \x0E\0\0\x07\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x05\0\0\x08\xFE\0\0\x22@",
    },
    Capture {
        name: "EXECUTE with a cursor",
        caps: LEGACY,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x18\0\0\x02\x03def\0\0\0\x01x\x01x\x0C?\0\x15\0\0\0\x08\x01\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x01\0\0\0\0\
            \x05\0\0\x04\xFE\0\0b@",
    },
    Capture {
        name: "FETCH",
        caps: LEGACY,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x03\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x04\0\0\0\
            \x05\0\0\x03\xFE\0\0B@",
    },
    Capture {
        name: "FETCH",
        caps: LEGACY,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x05\0\0\x02\xFE\0\0\x82@",
    },
    Capture {
        name: "FETCH without a cursor",
        caps: LEGACY,
        command: Command::StmtFetch,
        bytes: b"-\0\0\x01\xFF\x8D\x05#HY000The statement (6) has no open cursor",
    },
    Capture {
        name: "LOAD DATA LOCAL INFILE",
        caps: LEGACY,
        command: Command::Query,
        bytes: b"\x02\0\0\x01\xFBf",
    },
    Capture {
        name: "TIME",
        caps: LEGACY,
        command: Command::Time,
        bytes: b"\x18\0\0\x01\xFF\x17\x04#08S01Unknown command",
    },
];
