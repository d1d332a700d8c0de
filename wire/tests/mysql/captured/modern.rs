use wire::mysql::command::Command;

use super::{Capture, MODERN};

pub(super) const REPLIES: &[Capture] = &[
    Capture {
        name: "USE",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x0D\0\0\x01\0\0\0\x02@\0\0\0\x04\x01\x02\x01t",
    },
    Capture {
        name: "SET trackers",
        caps: MODERN,
        command: Command::Query,
        bytes: b"=\0\0\x01\0\0\0\x02@\0\0\x004\0!\x1Esession_track_system_variables\x01*\x02\x011\x05\x09\x08________\x04\x01\0",
    },
    Capture {
        name: "INIT_DB",
        caps: MODERN,
        command: Command::InitDb,
        bytes: b"\x10\0\0\x01\0\0\0\x02@\0\0\0\x07\x01\x02\x01t\x02\x011",
    },
    Capture {
        name: "START TRANSACTION",
        caps: MODERN,
        command: Command::Query,
        bytes: b"4\0\0\x01\0\0\0\x03@\0\0\0+\x05\x09\x08T_______\x04\x1E\x1DSTART TRANSACTION READ WRITE;",
    },
    Capture {
        name: "INSERT",
        caps: MODERN,
        command: Command::Query,
        bytes: b":\0\0\x01\0\x02\x01\x03@\0\0&Records: 2  Duplicates: 0  Warnings: 0\x0B\x05\x09\x08T___W___",
    },
    Capture {
        name: "ROLLBACK",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x17\0\0\x01\0\0\0\x02@\0\0\0\x0E\x05\x09\x08________\x04\x01\0",
    },
    Capture {
        name: "SET",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x1F\0\0\x01\0\0\0\x02@\0\0\0\x16\0\x11\x0Cwait_timeout\x03100\x02\x011",
    },
    Capture {
        name: "SELECT",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C-\0\x04\0\0\0\xFD\x01\0'\0\0\
            \x17\0\0\x03\x03def\0\0\0\x01y\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x03\0\0\x04\x01a\xFB\
            \x07\0\0\x05\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "SELECT nothing",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x1B\0\0\x02\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x07\0\0\x03\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "multi-statement, the last is wrong",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x03\x011\
            \x07\0\0\x04\xFE\0\0\x0A\0\0\0\
            \x07\0\0\x05\0\0\0\x0A\0\0\0\
            \x01\0\0\x06\x01\
            \x17\0\0\x07\x03def\0\0\0\x01y\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x08\x012\
            \x07\0\0\x09\xFE\0\0\x0A\0\0\0\
            \xA0\0\0\x0A\xFF(\x04#42000You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'bad' at line 1",
    },
    Capture {
        name: "CALL with two results",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x01\0\0\x01\x01\
            \x17\0\0\x02\x03def\0\0\0\x01a\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x03\x011\
            \x07\0\0\x04\xFE\0\0\x0A\0\0\0\
            \x01\0\0\x05\x01\
            \x17\0\0\x06\x03def\0\0\0\x01b\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x07\x012\
            \x07\0\0\x08\xFE\0\0\x0A\0\0\0\
            \x07\0\0\x09\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "ERR",
        caps: MODERN,
        command: Command::Query,
        bytes: b"%\0\0\x01\xFFz\x04#42S02Table 't.nope' doesn't exist",
    },
    Capture {
        name: "STATISTICS",
        caps: MODERN,
        command: Command::Statistics,
        bytes: b"r\0\0\x01Uptime: 870  Threads: 4  Questions: 94  Slow queries: 0  Opens: 23  Open tables: 15  Queries per second avg: 0.108",
    },
    Capture {
        name: "PING",
        caps: MODERN,
        command: Command::Ping,
        bytes: b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "SET_OPTION",
        caps: MODERN,
        command: Command::SetOption,
        bytes: b"\x07\0\0\x01\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "DEBUG",
        caps: MODERN,
        command: Command::Debug,
        bytes: b"\x07\0\0\x01\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "FIELD_LIST",
        caps: MODERN,
        command: Command::FieldList,
        bytes: b"\x1D\0\0\x01\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\x010\
            \x1C\0\0\x02\x03def\x01t\x01a\x01a\x01s\x01s\x0C-\0(\0\0\0\xFD\0\0\0\0\0\xFB\
            \x07\0\0\x03\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "PREPARE",
        caps: MODERN,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x01\0\0\0\x02\0\x01\0\0\0\0\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x17\0\0\x03\x03def\0\0\0\x01x\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x1B\0\0\x04\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0",
    },
    Capture {
        name: "PREPARE without definitions",
        caps: MODERN,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x02\0\0\0\0\0\0\0\0\0\0",
    },
    Capture {
        name: "PREPARE without columns",
        caps: MODERN,
        command: Command::StmtPrepare,
        bytes: b"\x0C\0\0\x01\0\x03\0\0\0\0\0\x01\0\0\0\0\
            \x17\0\0\x02\x03def\0\0\0\x01?\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0",
    },
    Capture {
        name: "PREPARE, ERR",
        caps: MODERN,
        command: Command::StmtPrepare,
        bytes: b"\xA0\0\0\x01\xFF(\x04#42000You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'bad' at line 1",
    },
    Capture {
        name: "EXECUTE",
        caps: MODERN,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x15\0\0\0\x08\x81\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x0E\0\0\x04\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x06\0\0\0\
            \x0E\0\0\x06\0\0\x07\0\0\0\0\0\0\0\x07\0\0\0\
            \x0E\0\0\x07\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\
            \x0E\0\0\x08\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\
            \x0E\0\0\x09\0\0\x07\0\0\0\0\0\0\0\x0A\0\0\0\
            \x07\0\0\x0A\xFE\0\0\x22\0\0\0",
    },
    Capture {
        name: "EXECUTE again",
        caps: MODERN,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C?\0\x15\0\0\0\x08\x81\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x0E\0\0\x04\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x06\0\0\0\
            \x0E\0\0\x06\0\0\x07\0\0\0\0\0\0\0\x07\0\0\0\
            \x0E\0\0\x07\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\
            \x0E\0\0\x08\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\
            \x0E\0\0\x09\0\0\x07\0\0\0\0\0\0\0\x0A\0\0\0\
            \x07\0\0\x0A\xFE\0\0\x22\0\0\0",
    },
    Capture {
        name: "EXECUTE with a cursor",
        caps: MODERN,
        command: Command::StmtExecute,
        bytes: b"\x01\0\0\x01\x02\
            \x18\0\0\x02\x03def\0\0\0\x01x\x01x\x0C?\0\x15\0\0\0\x08\x01\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x01\0\0\0\0\
            \x07\0\0\x04\xFE\0\0b\0\0\0",
    },
    Capture {
        name: "FETCH",
        caps: MODERN,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x06\0\0\0\
            \x07\0\0\x03\xFE\0\0B\0\0\0",
    },
    Capture {
        name: "FETCH",
        caps: MODERN,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x07\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\
            \x07\0\0\x03\xFE\0\0B\0\0\0",
    },
    Capture {
        name: "FETCH without a cursor",
        caps: MODERN,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x0A\0\0\0\
            \x07\0\0\x03\xFE\0\0B\0\0\0",
    },
    Capture {
        name: "LOAD DATA LOCAL INFILE",
        caps: MODERN,
        command: Command::Query,
        bytes: b"\x02\0\0\x01\xFBf",
    },
    Capture {
        name: "TIME",
        caps: MODERN,
        command: Command::Time,
        bytes: b"\x18\0\0\x01\xFF\x17\x04#08S01Unknown command",
    },
];
