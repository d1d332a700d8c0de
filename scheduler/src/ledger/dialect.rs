//! In what the three databases want the same thing said differently.

/// How a database wants things said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SQLite 3.42 or newer.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// The statement with its parameters, all written `?`, as the database counts them.
    pub(super) fn sql(self, text: &str) -> String {
        if self != Self::Postgres {
            return text.to_owned();
        }
        let mut parts = text.split('?');
        let mut sql = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            sql.push_str(&format!("${}{part}", index + 1));
        }
        sql
    }

    /// The database's clock when the statement began, in microseconds since 1970.
    pub(super) const fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS BIGINT)",
            Self::MySql => "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
        }
    }

    /// A sum as a whole number, 0 of no rows.
    pub(super) fn sum(self, column: &str) -> String {
        let whole = if self == Self::MySql { "SIGNED" } else { "BIGINT" };
        format!("CAST(COALESCE(SUM({column}), 0) AS {whole})")
    }

    /// What ends an INSERT whose row may be there already, and then stays as it is.
    pub(super) fn or_nothing(self, column: &str) -> String {
        match self {
            Self::MySql => format!("ON DUPLICATE KEY UPDATE {column} = {column}"),
            _ => "ON CONFLICT DO NOTHING".into(),
        }
    }

    /// What ends an INSERT whose row may be there already, and then takes the new values.
    pub(super) fn or_update(self, key: &str, columns: &[&str]) -> String {
        let take = |column: &&str| match self {
            Self::MySql => format!("{column} = VALUES({column})"),
            _ => format!("{column} = excluded.{column}"),
        };
        let taken: Vec<String> = columns.iter().map(take).collect();
        match self {
            Self::MySql => format!("ON DUPLICATE KEY UPDATE {}", taken.join(", ")),
            _ => format!("ON CONFLICT ({key}) DO UPDATE SET {}", taken.join(", ")),
        }
    }

    /// What ends a SELECT whose rows nobody else may change meanwhile. SQLite needs nothing: who
    /// writes is alone.
    pub(super) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres | Self::MySql => "FOR UPDATE",
        }
    }

    /// The same, passing over rows that others hold.
    pub(super) const fn for_update_skip(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres | Self::MySql => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// The column of a table's own numbers.
    pub(super) const fn identity(self) -> &'static str {
        match self {
            Self::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
            Self::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            Self::MySql => "BIGINT AUTO_INCREMENT PRIMARY KEY",
        }
    }

    /// The type of a text of up to `len` characters, told apart by its bytes.
    pub(super) fn text(self, len: usize) -> String {
        match self {
            Self::Sqlite => "TEXT".into(),
            Self::Postgres => "TEXT COLLATE \"C\"".into(),
            Self::MySql => format!("VARCHAR({len}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        }
    }

    /// The type of up to `len` bytes.
    pub(super) fn bytes(self, len: usize) -> String {
        match self {
            Self::Sqlite => "BLOB".into(),
            Self::Postgres => "BYTEA".into(),
            Self::MySql if len <= 4096 => format!("VARBINARY({len})"),
            Self::MySql => "MEDIUMBLOB".into(),
        }
    }

    /// What ends a CREATE TABLE, for one that is written often and for one that is written once.
    pub(super) const fn table(self, is_hot: bool) -> &'static str {
        match self {
            Self::Sqlite => "STRICT",
            // Half of each page is kept for new versions of its rows, which then touch no index; and
            // dead ones are cleaned up after 200, not after a fifth of the table.
            Self::Postgres if is_hot => {
                "WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)"
            }
            Self::Postgres => "",
            Self::MySql => "ENGINE = InnoDB",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_where_the_database_counts_them() {
        assert_eq!(Dialect::Postgres.sql("a = ? AND b = ?"), "a = $1 AND b = $2");
        assert_eq!(Dialect::Postgres.sql("a"), "a");
        assert_eq!(Dialect::MySql.sql("a = ?"), "a = ?");
    }
}
