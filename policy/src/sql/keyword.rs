//! The words that are spelled in any case and mean something.
//!
//! MySQL: only these are folded in a digest, for identifiers keep their case, because `T` and `t` are
//! two tables on most servers. The list holds the words that decisions need and those that are
//! common; a word that is missing costs one digest per spelling and nothing else.
//!
//! PostgreSQL: it folds every name that is not quoted, so a word that is missing costs nothing. Its
//! own words stand in a second list, because a new word would change the digests of MySQL.

macro_rules! keywords {
    (
        both { $($word:ident = $text:literal,)* }
        postgres { $($pg_word:ident = $pg_text:literal,)* }
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub(super) enum Keyword { $($word,)* $($pg_word,)* }

        /// First those of both dialects.
        const WORDS: [(Keyword, &str); [$($text,)* $($pg_text),*].len()] =
            [$((Keyword::$word, $text),)* $((Keyword::$pg_word, $pg_text)),*];

        const WORDS_OF_BOTH: usize = [$($text),*].len();
    };
}

keywords! {
both {
    Add = "ADD", Admin = "ADMIN", After = "AFTER", All = "ALL", Alter = "ALTER",
    Analyze = "ANALYZE", And = "AND", As = "AS", Asc = "ASC", Atomic = "ATOMIC", Avg = "AVG",
    Backup = "BACKUP", Begin = "BEGIN", Between = "BETWEEN", Binary = "BINARY",
    Binlog = "BINLOG", By = "BY", Cache = "CACHE", Call = "CALL", Case = "CASE", Cast = "CAST",
    Chain = "CHAIN", Change = "CHANGE", Character = "CHARACTER", Check = "CHECK",
    Checksum = "CHECKSUM", Clone = "CLONE", Coalesce = "COALESCE", Collate = "COLLATE",
    Column = "COLUMN", Columns = "COLUMNS", Commit = "COMMIT", Concurrent = "CONCURRENT",
    ConnectionId = "CONNECTION_ID", Consistent = "CONSISTENT", Convert = "CONVERT",
    Count = "COUNT", Create = "CREATE", Cross = "CROSS", Current = "CURRENT",
    CurrentDate = "CURRENT_DATE", CurrentTimestamp = "CURRENT_TIMESTAMP", Data = "DATA",
    Database = "DATABASE", Databases = "DATABASES", Date = "DATE", Deallocate = "DEALLOCATE",
    Default = "DEFAULT", Delayed = "DELAYED", Delete = "DELETE", Desc = "DESC",
    Describe = "DESCRIBE", Diagnostics = "DIAGNOSTICS", Distinct = "DISTINCT", Do = "DO",
    Drop = "DROP", Dual = "DUAL", Dumpfile = "DUMPFILE", Duplicate = "DUPLICATE", Else = "ELSE",
    End = "END", Errors = "ERRORS", Event = "EVENT", Except = "EXCEPT", Execute = "EXECUTE",
    Exists = "EXISTS", Explain = "EXPLAIN", Export = "EXPORT", Extended = "EXTENDED",
    False = "FALSE", Fields = "FIELDS", Flush = "FLUSH", For = "FOR", Force = "FORCE",
    Format = "FORMAT", FoundRows = "FOUND_ROWS", From = "FROM", Full = "FULL",
    Function = "FUNCTION", Get = "GET", GetLock = "GET_LOCK", Global = "GLOBAL",
    Grant = "GRANT", Group = "GROUP", GroupConcat = "GROUP_CONCAT", Handler = "HANDLER",
    Having = "HAVING", Help = "HELP", HighPriority = "HIGH_PRIORITY", If = "IF",
    IfNull = "IFNULL", Ignore = "IGNORE", Immediate = "IMMEDIATE", Import = "IMPORT", In = "IN",
    Index = "INDEX", Infile = "INFILE", Inner = "INNER", Insert = "INSERT",
    Install = "INSTALL", Instance = "INSTANCE", Intersect = "INTERSECT", Interval = "INTERVAL",
    Into = "INTO", Is = "IS", Join = "JOIN", Key = "KEY", Keys = "KEYS", Kill = "KILL",
    LastInsertId = "LAST_INSERT_ID", Lastval = "LASTVAL", Lateral = "LATERAL", Left = "LEFT",
    Like = "LIKE", Limit = "LIMIT", Load = "LOAD", Local = "LOCAL", Lock = "LOCK",
    Locked = "LOCKED", LowPriority = "LOW_PRIORITY", Max = "MAX", Min = "MIN", Mod = "MOD",
    Mode = "MODE", Names = "NAMES", Natural = "NATURAL", No = "NO",
    NoWriteToBinlog = "NO_WRITE_TO_BINLOG", Not = "NOT", Now = "NOW", Nowait = "NOWAIT",
    Null = "NULL", Of = "OF", Offset = "OFFSET", On = "ON", Online = "ONLINE", Only = "ONLY",
    Optimize = "OPTIMIZE", Or = "OR", Order = "ORDER", Outer = "OUTER", Outfile = "OUTFILE",
    Over = "OVER", Partition = "PARTITION", Password = "PASSWORD", Persist = "PERSIST",
    PersistOnly = "PERSIST_ONLY", Prepare = "PREPARE", Procedure = "PROCEDURE",
    Processlist = "PROCESSLIST", Purge = "PURGE", Query = "QUERY", Quick = "QUICK",
    Read = "READ", Recursive = "RECURSIVE", References = "REFERENCES", Release = "RELEASE",
    ReleaseAllLocks = "RELEASE_ALL_LOCKS", ReleaseLock = "RELEASE_LOCK", Rename = "RENAME",
    Repair = "REPAIR", Replace = "REPLACE", Replica = "REPLICA", Reset = "RESET",
    Restart = "RESTART", Returning = "RETURNING", Revoke = "REVOKE", Right = "RIGHT",
    Role = "ROLE", Rollback = "ROLLBACK", Row = "ROW", RowCount = "ROW_COUNT",
    Savepoint = "SAVEPOINT", Select = "SELECT", Session = "SESSION", Set = "SET",
    Share = "SHARE", Show = "SHOW", Shutdown = "SHUTDOWN", Signal = "SIGNAL", Skip = "SKIP",
    Slave = "SLAVE", Snapshot = "SNAPSHOT", SqlCalcFoundRows = "SQL_CALC_FOUND_ROWS",
    SqlNoCache = "SQL_NO_CACHE", Start = "START", Statement = "STATEMENT", Status = "STATUS",
    Stop = "STOP", StraightJoin = "STRAIGHT_JOIN", Sum = "SUM", Table = "TABLE",
    Tables = "TABLES", Temporary = "TEMPORARY", Then = "THEN", To = "TO",
    Transaction = "TRANSACTION", Trigger = "TRIGGER", True = "TRUE", Truncate = "TRUNCATE",
    Uninstall = "UNINSTALL", Union = "UNION", Unlock = "UNLOCK", Update = "UPDATE",
    Use = "USE", Using = "USING", Value = "VALUE", Values = "VALUES", Variables = "VARIABLES",
    View = "VIEW", Warnings = "WARNINGS", When = "WHEN", Where = "WHERE", Window = "WINDOW",
    With = "WITH", Work = "WORK", Write = "WRITE", Xa = "XA", Xml = "XML", Xor = "XOR",
}
postgres {
    Abort = "ABORT", Analyse = "ANALYSE", Array = "ARRAY", Authorization = "AUTHORIZATION",
    Cascade = "CASCADE", Catalog = "CATALOG", Characteristics = "CHARACTERISTICS",
    Checkpoint = "CHECKPOINT", Close = "CLOSE", Cluster = "CLUSTER", Comment = "COMMENT",
    Committed = "COMMITTED", Concurrently = "CONCURRENTLY", Conflict = "CONFLICT",
    Constraint = "CONSTRAINT", Constraints = "CONSTRAINTS", Copy = "COPY", Cursor = "CURSOR",
    Declare = "DECLARE", Deferrable = "DEFERRABLE", Discard = "DISCARD", Fetch = "FETCH",
    Foreign = "FOREIGN", Freeze = "FREEZE", Hold = "HOLD", Ilike = "ILIKE",
    Isolation = "ISOLATION", Label = "LABEL", Level = "LEVEL", Listen = "LISTEN",
    Materialized = "MATERIALIZED", Merge = "MERGE", Move = "MOVE", Nothing = "NOTHING",
    Notify = "NOTIFY", Off = "OFF", Policy = "POLICY", Prepared = "PREPARED",
    Reassign = "REASSIGN", Refresh = "REFRESH", Reindex = "REINDEX",
    Repeatable = "REPEATABLE", Schema = "SCHEMA", Security = "SECURITY",
    Sequence = "SEQUENCE", Serializable = "SERIALIZABLE", Temp = "TEMP", Time = "TIME",
    Uncommitted = "UNCOMMITTED", Unique = "UNIQUE", Unlisten = "UNLISTEN",
    Unlogged = "UNLOGGED", Vacuum = "VACUUM", Verbose = "VERBOSE", Zone = "ZONE",
}
}

/// Every keyword's part in a digest: FNV-1a of its capitals, so that it is the same in every release
/// whatever the order of the list.
static HASHES: [u64; WORDS.len()] = {
    let mut hashes = [0xcbf2_9ce4_8422_2325_u64; WORDS.len()];
    let mut index = 0;
    while index < WORDS.len() {
        let text = WORDS[index].1.as_bytes();
        let mut at = 0;
        while at < text.len() {
            hashes[index] = (hashes[index] ^ text[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        index += 1;
    }
    hashes
};

/// No keyword is shorter or longer.
const LEN_MIN: usize = 2;
const LEN_MAX: usize = 19;

/// Slots of a hash table; a power of two, well above the number of words.
const SLOTS: usize = 1024;
const NONE: u16 = u16::MAX;
const _: () = assert!(WORDS.len() < SLOTS / 2);

/// The words of a dialect by their letters: open addressing, built by the compiler.
#[derive(Debug)]
pub(super) struct Vocabulary([u16; SLOTS]);

pub(super) static MYSQL: Vocabulary = Vocabulary::of_first(WORDS_OF_BOTH);
pub(super) static POSTGRES: Vocabulary = Vocabulary::of_first(WORDS.len());

impl Vocabulary {
    const fn of_first(count: usize) -> Self {
        let mut table = [NONE; SLOTS];
        let mut index = 0;
        while index < count {
            let mut slot = slot(WORDS[index].1.as_bytes());
            while table[slot] != NONE {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = index as u16;
            index += 1;
        }
        Self(table)
    }

    /// The keyword this word is, in any case.
    ///
    /// Inlined whatever the compiler thinks of its two callers: a call made a point select 3 %
    /// dearer (instructions).
    #[inline(always)]
    pub(super) fn find(&self, word: &[u8]) -> Option<Keyword> {
        if !(LEN_MIN..=LEN_MAX).contains(&word.len()) {
            return None;
        }
        let mut at = slot(word);
        while let Some((keyword, text)) = WORDS.get(usize::from(self.0[at])) {
            if text.as_bytes().eq_ignore_ascii_case(word) {
                return Some(*keyword);
            }
            at = (at + 1) % SLOTS;
        }
        None
    }
}

/// Where the search for a word begins, whatever its case: its length and four of its letters.
const fn slot(word: &[u8]) -> usize {
    let len = word.len();
    let letters = [word[0], word[len - 1], word[len / 2], word[len / 4]];
    let key = (u32::from_le_bytes(letters) | 0x2020_2020).wrapping_add(len as u32);
    (key.wrapping_mul(0x9E37_79B1) >> 22) as usize % SLOTS
}

impl Keyword {
    /// Its part in a digest.
    pub(super) fn hash(self) -> u64 {
        HASHES[self as usize]
    }

    /// The keyword in capitals.
    pub(super) const fn as_str(self) -> &'static str {
        WORDS[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_in_any_case() {
        for (index, (keyword, text)) in WORDS.into_iter().enumerate() {
            let of_both = Some(keyword).filter(|_| index < WORDS_OF_BOTH);
            assert_eq!(POSTGRES.find(text.as_bytes()), Some(keyword), "{text}");
            assert_eq!(POSTGRES.find(text.to_lowercase().as_bytes()), Some(keyword), "{text}");
            assert_eq!(MYSQL.find(text.to_lowercase().as_bytes()), of_both, "{text}");
            assert_eq!(keyword.as_str(), text);
        }
        let lens = WORDS.iter().map(|(_, text)| text.len());
        assert_eq!(lens.clone().min().zip(lens.max()), Some((LEN_MIN, LEN_MAX)));
    }

    #[test]
    fn every_keyword_has_a_hash_of_its_own() {
        let hashes: std::collections::BTreeSet<u64> = HASHES.into_iter().collect();
        assert_eq!(hashes.len(), WORDS.len());
    }

    #[test]
    fn other_words_are_not_keywords() {
        for word in ["", "a", "selec", "selects", "sbtest1", "_", "caf\u{e9}"] {
            assert_eq!(POSTGRES.find(word.as_bytes()), None, "{word}");
        }
    }

    /// A search stays short: no word is further from its slot than this.
    #[test]
    fn no_search_is_long() {
        for (vocabulary, words) in [(&MYSQL, &WORDS[..WORDS_OF_BOTH]), (&POSTGRES, &WORDS[..])] {
            for (_, text) in words {
                let mut at = slot(text.as_bytes());
                let mut steps = 0;
                while WORDS.get(usize::from(vocabulary.0[at])).is_some_and(|(_, t)| t != text) {
                    at = (at + 1) % SLOTS;
                    steps += 1;
                }
                assert!(steps <= 8, "{text} is {steps} steps away");
            }
        }
    }
}
