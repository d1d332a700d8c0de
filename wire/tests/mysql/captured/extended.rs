use wire::mysql::command::Command;

use super::{Capture, EXTENDED, EXTENDED_LEGACY, PROGRESS};

pub(super) const REPLIES: &[Capture] = &[
    Capture {
        name: "SELECT",
        caps: EXTENDED,
        command: Command::Query,
        bytes: b"\x02\0\0\x01\x02\x01\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C-\0\x04\0\0\0\xFD\x01\0'\0\0\
            \x17\0\0\x03\x03def\0\0\0\x01y\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x03\0\0\x04\x01a\xFB\
            \x07\0\0\x05\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "CALL with two results",
        caps: EXTENDED,
        command: Command::Query,
        bytes: b"\x02\0\0\x01\x01\x01\
            \x17\0\0\x02\x03def\0\0\0\x01a\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x03\x011\
            \x07\0\0\x04\xFE\0\0\x0A\0\0\0\
            \x02\0\0\x05\x01\x01\
            \x17\0\0\x06\x03def\0\0\0\x01b\0\x0C?\0\x01\0\0\0\x03\x81\0\0\0\0\
            \x02\0\0\x07\x012\
            \x07\0\0\x08\xFE\0\0\x0A\0\0\0\
            \x07\0\0\x09\0\0\0\x02\0\0\0",
    },
    Capture {
        name: "EXECUTE",
        caps: EXTENDED,
        command: Command::StmtExecute,
        bytes: b"\x02\0\0\x01\x02\x01\
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
        caps: EXTENDED,
        command: Command::StmtExecute,
        bytes: b"\x02\0\0\x01\x02\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x0E\0\0\x03\0\0\x07\0\0\0\0\0\0\0\x06\0\0\0\
            \x0E\0\0\x04\0\0\x07\0\0\0\0\0\0\0\x07\0\0\0\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\
            \x0E\0\0\x06\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\
            \x0E\0\0\x07\0\0\x07\0\0\0\0\0\0\0\x0A\0\0\0\
            \x07\0\0\x08\xFE\0\0\x22\0\0\0",
    },
    Capture {
        name: "EXECUTE with a cursor",
        caps: EXTENDED,
        command: Command::StmtExecute,
        bytes: b"\x02\0\0\x01\x02\x01\
            \x18\0\0\x02\x03def\0\0\0\x01x\x01x\x0C?\0\x15\0\0\0\x08\x01\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x01\0\0\0\0\
            \x07\0\0\x04\xFE\0\0b\0\0\0",
    },
    Capture {
        name: "FETCH",
        caps: EXTENDED,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x06\0\0\0\
            \x07\0\0\x03\xFE\0\0B\0\0\0",
    },
    Capture {
        name: "FETCH",
        caps: EXTENDED,
        command: Command::StmtFetch,
        bytes: b"\x0E\0\0\x01\0\0\x07\0\0\0\0\0\0\0\x07\0\0\0\
            \x0E\0\0\x02\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\
            \x07\0\0\x03\xFE\0\0B\0\0\0",
    },
    Capture {
        name: "BULK_EXECUTE",
        caps: EXTENDED,
        command: Command::StmtBulkExecute,
        bytes: b".\0\0\x01\0\x02\x11\x02\0\0\0&Records: 2  Duplicates: 0  Warnings: 0",
    },
    Capture {
        name: "BULK_EXECUTE RETURNING",
        caps: EXTENDED,
        command: Command::StmtBulkExecute,
        bytes: b"\x02\0\0\x01\x01\x01\
            \x1B\0\0\x02\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x06\0\0\x03\0\0\x14\0\0\0\
            \x06\0\0\x04\0\0\x15\0\0\0\
            \x07\0\0\x05\xFE\0\0\x02\0\0\0",
    },
    Capture {
        name: "SELECT",
        caps: EXTENDED_LEGACY,
        command: Command::Query,
        bytes: b"\x02\0\0\x01\x02\x01\
            \x17\0\0\x02\x03def\0\0\0\x01x\0\x0C-\0\x04\0\0\0\xFD\x01\0'\0\0\
            \x17\0\0\x03\x03def\0\0\0\x01y\0\x0C?\0\0\0\0\0\x06\x80\0\0\0\0\
            \x05\0\0\x04\xFE\0\0\x02\0\
            \x03\0\0\x05\x01a\xFB\
            \x05\0\0\x06\xFE\0\0\x02\0",
    },
    Capture {
        name: "EXECUTE again",
        caps: EXTENDED_LEGACY,
        command: Command::StmtExecute,
        bytes: b"\x02\0\0\x01\x02\0\
            \x05\0\0\x02\xFE\0\0\x22\0\
            \x0E\0\0\x03\0\0\x07\0\0\0\0\0\0\0\x03\0\0\0\
            \x0E\0\0\x04\0\0\x07\0\0\0\0\0\0\0\x04\0\0\0\
            \x0E\0\0\x05\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\
            \x05\0\0\x06\xFE\0\0\x22\0",
    },
    Capture {
        name: "EXECUTE with a cursor",
        caps: EXTENDED_LEGACY,
        command: Command::StmtExecute,
        bytes: b"\x02\0\0\x01\x02\x01\
            \x18\0\0\x02\x03def\0\0\0\x01x\x01x\x0C?\0\x15\0\0\0\x08\x01\0\0\0\0\
            \x1B\0\0\x03\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x01\0\0\0\0\
            \x05\0\0\x04\xFE\0\0b\0",
    },
    Capture {
        name: "BULK_EXECUTE RETURNING",
        caps: EXTENDED_LEGACY,
        command: Command::StmtBulkExecute,
        bytes: b"\x02\0\0\x01\x01\x01\
            \x1B\0\0\x02\x03def\x01t\x01a\x01a\x01i\x01i\x0C?\0\x0B\0\0\0\x03\x03B\0\0\0\
            \x05\0\0\x03\xFE\0\0\x02\0\
            \x06\0\0\x04\0\0\x0C\0\0\0\
            \x06\0\0\x05\0\0\x0D\0\0\0\
            \x05\0\0\x06\xFE\0\0\x02\0",
    },
    Capture {
        name: "ALTER TABLE with progress",
        caps: PROGRESS,
        command: Command::Query,
        bytes: b"\x17\0\0\x01\xFF\xFF\xFF\x01\x02\x02\0\0\0\x0DEnabling keys\
            .\0\0\x02\0\0\0\x02\0\0\0&Records: 0  Duplicates: 0  Warnings: 0",
    },
];
