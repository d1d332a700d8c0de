//! Error codes that the guard reads from servers or raises itself.
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html> and
//! <https://mariadb.com/docs/server/reference/error-codes>

/// `ER_CON_COUNT_ERROR` (08004): the server has no room for another connection.
pub const TOO_MANY_CONNECTIONS: u16 = 1040;
/// `ER_HANDSHAKE_ERROR` (08S01): the handshake is not one the server understands.
pub const BAD_HANDSHAKE: u16 = 1043;
/// `ER_DBACCESS_DENIED_ERROR` (42000): the user may not use this database.
pub const DATABASE_ACCESS_DENIED: u16 = 1044;
/// `ER_ACCESS_DENIED_ERROR` (28000): the user or the password is wrong.
pub const ACCESS_DENIED: u16 = 1045;
/// `ER_NO_DB_ERROR` (3D000): no database is selected.
pub const NO_DATABASE: u16 = 1046;
/// `ER_UNKNOWN_COM_ERROR` (08S01): the command is unknown or not served here.
pub const UNKNOWN_COMMAND: u16 = 1047;
/// `ER_BAD_DB_ERROR` (42000): there is no such database.
pub const UNKNOWN_DATABASE: u16 = 1049;
/// `ER_SERVER_SHUTDOWN` (08S01): the server is going away.
pub const SERVER_SHUTDOWN: u16 = 1053;
/// `ER_NO_SUCH_THREAD` (HY000): the connection to be killed does not exist.
pub const NO_SUCH_THREAD: u16 = 1094;
/// `ER_UNKNOWN_ERROR` (HY000): what has no code of its own.
pub const UNKNOWN_ERROR: u16 = 1105;
/// `ER_HOST_IS_BLOCKED` (HY000): too many broken handshakes came from this host.
pub const HOST_IS_BLOCKED: u16 = 1129;
/// `ER_NET_PACKET_TOO_LARGE` (08S01): a packet is longer than `max_allowed_packet`.
pub const PACKET_TOO_LARGE: u16 = 1153;
/// `ER_NET_PACKETS_OUT_OF_ORDER` (08S01): a sequence id is not the next one.
pub const PACKETS_OUT_OF_ORDER: u16 = 1156;
/// `ER_NEW_ABORTING_CONNECTION` (08S01): the server ended the connection.
pub const CONNECTION_ABORTED: u16 = 1184;
/// `ER_TOO_MANY_USER_CONNECTIONS` (42000): the user has as many connections as it may.
pub const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
/// `ER_LOCK_WAIT_TIMEOUT` (HY000): a lock wait took too long. Rolls back the statement only, unless
/// `innodb_rollback_on_timeout` is on.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// `ER_LOCK_DEADLOCK` (40001): a deadlock's victim. The whole transaction is rolled back.
pub const LOCK_DEADLOCK: u16 = 1213;
/// `ER_USER_LIMIT_REACHED` (42000): a limit of the account, such as queries per hour, is used up.
pub const USER_LIMIT_REACHED: u16 = 1226;
/// `ER_UNKNOWN_STMT_HANDLER` (HY000): the prepared statement does not exist on this connection.
pub const UNKNOWN_STATEMENT: u16 = 1243;
/// `ER_OPTION_PREVENTS_STATEMENT` (HY000): among others, a write on a server that is read-only.
pub const OPTION_PREVENTS_STATEMENT: u16 = 1290;
/// `ER_QUERY_INTERRUPTED` (70100): killed by `KILL QUERY`. Rolls back the statement only.
pub const QUERY_INTERRUPTED: u16 = 1317;
/// `ER_MAX_PREPARED_STMT_COUNT_REACHED` (42000): the server has no room for another statement.
pub const TOO_MANY_PREPARED_STATEMENTS: u16 = 1461;
/// `ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION` (25006): a write in a read-only transaction.
pub const READ_ONLY_TRANSACTION: u16 = 1792;
/// `ER_CONNECTION_KILLED` (70100) of MariaDB: killed by `KILL CONNECTION`.
pub const CONNECTION_KILLED: u16 = 1927;
/// `ER_STATEMENT_TIMEOUT` (70100) of MariaDB: `max_statement_time` is over. Ends the statement only.
pub const STATEMENT_TIMEOUT: u16 = 1969;
/// `ER_QUERY_TIMEOUT` (HY000) of MySQL: `max_execution_time` is over. Ends the statement only.
pub const QUERY_TIMEOUT: u16 = 3024;
/// `ER_ACCOUNT_HAS_BEEN_LOCKED` (HY000) of MySQL.
pub const ACCOUNT_LOCKED: u16 = 3118;
/// `ER_CLIENT_INTERACTION_TIMEOUT` (HY000) of MySQL: `wait_timeout` is over.
pub const CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
/// Not an error: MariaDB reports the progress of a long statement in a packet of this shape.
/// <https://mariadb.com/docs/server/reference/clientserver-protocol/4-server-response-packets/err_packet>
pub const PROGRESS: u16 = 0xFFFF;
