//! What to do about keys that have no equivalent.

/// About `[peers]`.
pub(super) const PEERS: &str = "not needed: cancel keys are the guard's own; behind a balancer, clients must reach the guard \
     that they cancel at under its own address";

const KERNEL: &str = "not needed: the guard keeps clients alive by itself; towards the server the \
                      system's own settings hold";
const NAMES: &str = "not needed: a name is looked up for each new connection to the server";
const SERVICE: &str = "set it in the service that starts the guard (systemd)";
const LOG: &str = "the guard writes to standard error, as [log] says; metrics tell the rest";
const CIPHERS: &str = "not to be chosen: TLS 1.2 and 1.3 with the ciphers that are held to be good";
const SERVER_CERTIFICATE: &str =
    "the guard shows the server no certificate: let the account in by its password";
const ALL_SETTINGS: &str = "not needed: what clients set is carried to whichever connection they get, all parameters alike";
const CLEAN: &str =
    "not needed: a connection is reset, or brought to what its next client has set, by itself";
const LIFETIME: &str =
    "no equivalent: connections are kept while they are used; idle_timeout closes the others";
const CHECKED: &str =
    "not needed: a connection that the server has closed is noticed before it is lent";

/// About a key of `[pgbouncer]`.
pub(super) fn of(key: &str) -> &'static str {
    match key {
        "logfile" | "syslog" | "syslog_ident" | "syslog_facility" | "log_connections"
        | "log_disconnections" | "log_pooler_errors" | "log_stats" | "stats_period" | "verbose" => {
            LOG
        }
        "pidfile" | "user" | "service_name" | "job_name" | "conffile" => SERVICE,
        "so_reuseport" => "not needed: one guard uses all cores ([guard] workers)",
        "peer_id" => PEERS,
        "ignore_startup_parameters" | "track_extra_parameters" => ALL_SETTINGS,
        "application_name_add_host" => {
            "no equivalent: application_name is the client's own; addresses are in SHOW CLIENTS"
        }
        "server_reset_query" | "server_reset_query_always" => CLEAN,
        "server_check_query" | "server_check_delay" => CHECKED,
        "server_lifetime" => LIFETIME,
        "server_round_robin" => "no equivalent: the connection that was used last is lent first",
        "server_fast_close" => "not needed: a session ends between transactions",
        "server_login_retry" => {
            "not needed: logins to a server that is not well are paced (handshakes_per_second)"
        }
        "min_pool_size" | "reserve_pool_timeout" => {
            "no equivalent: connections are opened as they are needed, within upstream.connections, \
             which has the reserve in it"
        }
        "max_user_connections" | "max_user_client_connections" | "max_db_client_connections" => {
            "no equivalent for all at once: give a user a class of its own, with connections"
        }
        "cancel_wait_timeout" => "not needed: what is cancelled is verified to have ended",
        "suspend_timeout" => "not needed: see drain_timeout of [guard]",
        "query_wait_notify" => {
            "no equivalent: a client that waits too long is told so in the refusal"
        }
        "disable_pqexec" => "no equivalent: turn kinds of statements off with [[switch]]",
        "auth_hba_file" => "not read: auth_type is not hba",
        "auth_ident_file" => {
            "no equivalent: accounts of the system are not asked for; see auth.trust"
        }
        "auth_ldap_options" | "auth_ldap_parameter" => {
            "no equivalent: accounts are proved by password; see [auth]"
        }
        "max_packet_size" | "pkt_buf" | "sbuf_loopcnt" | "listen_backlog" => {
            "not needed: messages are passed on in parts; max_packet bounds texts of statements that \
             are kept"
        }
        "dns_max_ttl" | "dns_nxdomain_ttl" | "dns_zone_check_period" | "resolv_conf" => NAMES,
        "client_tls_ca_file" => "no equivalent: clients are known by password, not by certificate",
        "client_tls_protocols"
        | "client_tls_ciphers"
        | "client_tls13_ciphers"
        | "client_tls_ecdhcurve"
        | "client_tls_dheparams"
        | "server_tls_protocols"
        | "server_tls_ciphers"
        | "server_tls13_ciphers" => CIPHERS,
        "server_tls_key_file" | "server_tls_cert_file" => SERVER_CERTIFICATE,
        "tcp_defer_accept" | "tcp_socket_buffer" | "tcp_keepalive" | "tcp_keepcnt"
        | "tcp_keepidle" | "tcp_keepintvl" | "tcp_user_timeout" => KERNEL,
        _ => "this key is not known",
    }
}

/// About a key of a line of `[databases]`; `None` if it has an equivalent or is told elsewhere.
pub(super) fn of_database(key: &str) -> Option<&'static str> {
    Some(match key {
        "host" | "port" | "dbname" | "pool_size" | "reserve_pool" | "reserve_pool_size"
        | "max_db_connections" => return None,
        "user" | "password" => {
            "no equivalent: clients log in at the server as themselves, so that its rights hold for \
             each. Give them accounts there that are members of this one (GRANT … TO), with ALTER \
             ROLE … SET role where tables are to be made as this one"
        }
        "auth_user" | "auth_query" | "auth_dbname" => {
            "the same for all databases: see control.user, auth.query and control.database"
        }
        "pool_mode" => "the same for all databases: see upstream.pooling",
        "min_pool_size" => of("min_pool_size"),
        "connect_query" => {
            "no equivalent: put it into the database, ALTER DATABASE … SET or ALTER ROLE … SET"
        }
        "client_encoding" | "datestyle" | "timezone" => {
            "let the server say so: ALTER DATABASE … SET, or ALTER ROLE … IN DATABASE … SET"
        }
        "server_lifetime" => LIFETIME,
        "load_balance_hosts" => "one guard stands before one server",
        "max_db_client_connections" => of("max_db_client_connections"),
        _ => "this key is not known",
    })
}

/// About a key of a line of `[users]`; `None` if it has an equivalent.
pub(super) fn of_user(key: &str) -> Option<&'static str> {
    Some(match key {
        "max_user_connections"
        | "query_timeout"
        | "transaction_timeout"
        | "idle_transaction_timeout" => return None,
        "pool_mode" => "the same for all users: see upstream.pooling",
        "pool_size" | "reserve_pool_size" | "min_pool_size" => {
            "there is one pool for all: bound this user by the connections of its class"
        }
        "client_idle_timeout" => "the same for all users: see idle_timeout of [[listener]]",
        "max_user_client_connections" => of("max_user_client_connections"),
        _ => "this key is not known",
    })
}
