use std::fs;
use std::path::PathBuf;

use super::databases::pairs;
use super::*;
use crate::config::{Config, Pooling, UpstreamTls};

/// A folder of files, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let name = format!("tidegate-import-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        for (file, text) in files {
            fs::write(folder.0.join(file), text).unwrap();
        }
        folder
    }

    fn import(&self) -> Result<Import, ImportError> {
        pgbouncer(&self.0.join("pgbouncer.ini"), &Options::default())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const USERS: &str = "\"app\" \"s3cret\"\n\"asker\" \"hunter2\"\n";

fn import(ini: &str) -> Import {
    let folder = Folder::with(&[("pgbouncer.ini", ini), ("userlist.txt", USERS)]);
    folder.import().unwrap_or_else(|error| panic!("{error}"))
}

/// The configuration of the first guard, as the guard reads it.
fn config(import: &Import) -> Config {
    let text = &import.guards[0].text;
    let loaded = Config::parse(Path::new("t.toml"), text, &|_| None);
    loaded.unwrap_or_else(|errors| panic!("{errors}\n{}", text.as_str())).config
}

/// `[pgbouncer]` with one database and these lines.
fn general(lines: &str) -> String {
    format!("[databases]\nshop = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\n{lines}\n")
}

#[track_caller]
fn noted(import: &Import, what: &str) -> String {
    let found = import.notes.iter().find(|note| note.what.contains(what));
    found.unwrap_or_else(|| panic!("{what} is not in {:#?}", import.notes)).advice.clone()
}

/// Keys of ours as JSON has them, by `section.key`.
#[track_caller]
fn check(lines: &str, expected: &[(&str, &str)]) {
    let import = import(&general(lines));
    let json = serde_json::to_value(config(&import)).unwrap();
    for (key, value) in expected {
        let found = json.pointer(&format!("/{}", key.replace('.', "/"))).unwrap();
        assert_eq!(found.to_string(), *value, "{key}");
    }
}

#[test]
fn pgbouncers_defaults_are_kept_where_ours_are_stricter() {
    check(
        "",
        &[
            ("upstream.engine", "\"postgres\""),
            ("upstream.address", "\"127.0.0.1:5432\""),
            ("upstream.connections", "20"),
            ("upstream.pooling", "\"session\""),
            ("upstream.connect_timeout", "\"15s\""),
            ("upstream.idle_timeout", "\"10m\""),
            ("listener.0.address", "\"127.0.0.1:6432\""),
            ("listener.0.max_clients", "100"),
            ("listener.0.tls", "\"off\""),
            ("class.default.statement_time", "\"off\""),
            ("class.default.transaction_time", "\"off\""),
            ("class.default.idle_in_transaction_time", "\"off\""),
            ("class.default.lock_wait_time", "\"off\""),
            ("class.default.queue_time", "\"2m\""),
            ("overall.queue_length", "100"),
        ],
    );
}

#[test]
fn every_key_with_an_equivalent_is_taken() {
    for (line, key, value) in [
        ("listen_port = 6433", "listener.0.address", "\"127.0.0.1:6433\""),
        ("listen_addr = *", "listener.0.address", "\"0.0.0.0:6432\""),
        ("listen_addr = 127.0.0.1, ::1", "listener.1.address", "\"[::1]:6432\""),
        ("max_client_conn = 5000", "listener.0.max_clients", "5000"),
        ("", "listener.1.address", "\"/tmp/.s.PGSQL.6432\""),
        ("listen_addr =", "listener.0.address", "\"/tmp/.s.PGSQL.6432\""),
        (
            "unix_socket_dir = /run/b\nlisten_port = 7",
            "listener.1.address",
            "\"/run/b/.s.PGSQL.7\"",
        ),
        ("unix_socket_mode = 0750", "listener.1.socket_mode", "\"0750\""),
        ("unix_socket_group = root", "listener.1.socket_group", "\"root\""),
        ("client_login_timeout = 5", "listener.0.login_timeout", "\"5s\""),
        ("client_idle_timeout = 90", "listener.0.idle_timeout", "\"90s\""),
        ("client_tls_sslmode = prefer", "listener.0.tls", "\"offered\""),
        ("client_tls_sslmode = require", "listener.0.tls", "\"required\""),
        ("pool_mode = transaction", "upstream.pooling", "\"transaction\""),
        ("pool_mode = statement", "upstream.pooling", "\"transaction\""),
        ("default_pool_size = 7", "upstream.connections", "7"),
        ("default_pool_size = 7\nreserve_pool_size = 3", "upstream.connections", "10"),
        ("max_db_connections = 9", "upstream.connections", "9"),
        ("max_db_connections = 9", "database.shop.connections", "9"),
        ("query_timeout = 1.5", "class.default.statement_time", "\"1500ms\""),
        ("transaction_timeout = 60", "class.default.transaction_time", "\"1m\""),
        ("idle_transaction_timeout = 4", "class.default.idle_in_transaction_time", "\"4s\""),
        ("query_wait_timeout = 3", "class.default.queue_time", "\"3s\""),
        ("query_wait_timeout = 0", "overall.queue_time", "\"1h\""),
        ("server_idle_timeout = 30", "upstream.idle_timeout", "\"30s\""),
        ("server_connect_timeout = 2", "upstream.connect_timeout", "\"2s\""),
        ("max_prepared_statements = 50", "upstream.statements_per_connection", "50"),
        ("server_tls_sslmode = disable", "upstream.tls", "\"off\""),
        ("server_tls_sslmode = require", "upstream.tls", "\"unverified\""),
        ("auth_type = trust", "auth.trust.1", "\"::/0\""),
        ("auth_user = asker", "control.user", "\"asker\""),
        ("auth_dbname = postgres", "control.database", "\"postgres\""),
        ("auth_user = a\nauth_query = SELECT 1, $1", "auth.query", "\"SELECT 1, $1\""),
        ("admin_users = root, boss", "admin.users.1", "\"boss\""),
        ("stats_users = eye", "admin.stats_users.0", "\"eye\""),
        ("; query_timeout = 1\n#query_timeout = 2", "class.default.statement_time", "\"off\""),
        ("query_timeout = 1\nquery_timeout=2", "class.default.statement_time", "\"2s\""),
    ] {
        check(line, &[(key, value)]);
    }
}

#[test]
fn each_value_says_where_it_is_from() {
    let import = import(&general("query_timeout = 5"));
    let text = import.guards[0].text.as_str();
    for line in [
        "statement_time = \"5s\"  # query_timeout",
        "transaction_time = \"off\"  # PgBouncer's default transaction_timeout",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let without = |line: &&str| line.contains(" = ") && !line.contains("  # ");
    let odd: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).filter(without).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn users_with_bounds_of_their_own_become_classes() {
    let ini = general("query_timeout = 5")
        + "[users]\nReport.er = max_user_connections=4 query_timeout=300\n\
           batch = pool_mode=session\nquick = query_timeout=1\n";
    let import = import(&ini);
    let config = config(&import);
    assert_eq!(config.class_names(), ["default", "user-quick", "user-report-er"]);
    let policy = config.policy();
    let reporter = &policy.classes[2];
    assert_eq!(reporter.limits.connections, Some(4));
    assert_eq!(reporter.times.statement.map(|time| time.as_secs()), Some(300));
    assert_eq!(policy.classes[1].times.statement.map(|time| time.as_secs()), Some(1));
    assert_eq!(config.rules[0].user.as_deref(), Some("Report.er"));
    noted(&import, "[users] batch: pool_mode = session");
}

#[test]
fn databases_share_one_bound_and_may_have_their_own() {
    let import = import(
        "[databases]\n\"my shop\" = host=127.0.0.1 pool_size=5 reserve_pool_size=1\n\
         stock = host=127.0.0.1 port=5432 max_db_connections=3\n* = host=127.0.0.1\n\
         [pgbouncer]\nserver_tls_sslmode = disable\n",
    );
    let config = config(&import);
    assert_eq!(config.upstream.connections, 6 + 3 + 20);
    let own = |name: &str| config.databases[name].connections.map(std::num::NonZeroU32::get);
    assert_eq!((own("my shop"), own("stock")), (Some(6), Some(3)));
    assert_eq!(config.databases.len(), 2);
    assert_eq!(config.control.database, "my shop");
    assert_eq!(import.guards[0].databases, ["my shop", "stock", "*"]);
}

#[test]
fn each_server_gets_a_guard_with_ports_of_its_own() {
    let import = import(
        "[databases]\na = host=db1 port=6000\nb = host=db2\nc = port=6000 host=db1 dbname=d\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\n",
    );
    let servers: Vec<_> = import.guards.iter().map(|guard| guard.server.to_string()).collect();
    assert_eq!(servers, ["db1:6000", "db2:5432"]);
    assert!(import.guards[1].text.contains("\"127.0.0.1:6433\""));
    assert!(import.guards[1].text.contains("\"127.0.0.1:9308\""));
    assert!(noted(&import, "[databases] b on db2:5432").contains("-o FOLDER/"));
    assert!(noted(&import, "dbname=d").contains("connect to d"));
    // It was "prefer": rather a guard that does not start than one that sends in the clear.
    assert_eq!(config(&import).upstream.tls, UpstreamTls::Unverified);
}

#[test]
fn a_servers_unix_socket_is_found_where_pgbouncer_looks() {
    let check = |databases: &str, lines: &str, expect: &str| {
        let import =
            import(&format!("[databases]\n{databases}\n[pgbouncer]\nlisten_port=1\n{lines}\n"));
        let upstream = config(&import).upstream;
        assert_eq!(upstream.address.to_string(), expect, "{databases} {lines}");
        assert_eq!(upstream.tls, UpstreamTls::Off);
        import
    };
    check("a = host=/run/postgresql", "", "/run/postgresql/.s.PGSQL.5432");
    check("a = host=/run/postgresql/ port=6000", "", "/run/postgresql/.s.PGSQL.6000");
    check("a = dbname=a", "", "/tmp/.s.PGSQL.5432");
    check("a = dbname=a", "unix_socket_dir = /run/b", "/run/b/.s.PGSQL.5432");
    let import = check("a = host=@abstract", "unix_socket_dir =", "127.0.0.1:5432");
    assert!(noted(&import, "[databases] a: a Unix socket").contains("listen_addresses"));
    // Nobody could have connected.
    assert!(noted(&import, "neither listen_addr").contains("127.0.0.1"));
}

#[test]
fn networks_that_are_trusted_are_taken_from_the_hba_file() {
    let folder = Folder::with(&[
        ("pgbouncer.ini", &general("auth_type = hba\nauth_hba_file = hba.conf")),
        ("hba.conf", "host all all 127.0.0.0/8 trust\nhost a b 10.0.0.0/8 peer\n"),
    ]);
    let import = folder.import().unwrap();
    assert_eq!(config(&import).auth.trust.len(), 1);
    assert!(noted(&import, "auth_hba_file: host a b 10.0.0.0/8 peer").contains("password"));
}

#[test]
fn secrets_are_referred_to_and_never_told() {
    let folder = Folder::with(&[
        (
            "pgbouncer.ini",
            "[databases]\nshop = host=127.0.0.1 user=boss password='to p'\n[pgbouncer]\n\
             auth_file = userlist.txt\nauth_user = asker\n",
        ),
        ("userlist.txt", USERS),
    ]);
    let import = folder.import().unwrap();
    let config = config(&import);
    assert_eq!(config.auth.file, Some(folder.0.join("userlist.txt")));
    assert!(config.auth.database);
    assert_eq!(config.control.password.expose(), b"hunter2");
    let text = import.guards[0].text.as_str();
    assert!(!text.contains("s3cret") && !text.contains("to p"), "{text}");
    assert!(!format!("{:?}", import.notes).contains("to p"));
    noted(&import, "[databases] shop: password");
}

#[test]
fn without_a_password_the_control_account_is_to_be_mended() {
    let import = import(&general("auth_type = scram-sha-256"));
    assert!(noted(&import, "the control account tidegate").contains("--control-password-file"));
    let folder = Folder::with(&[("pgbouncer.ini", &general("")), ("secret", "hunter2\n")]);
    let options = Options {
        control_user: Some("watch".into()),
        control_password_file: Some(folder.0.join("secret")),
    };
    let import = pgbouncer(&folder.0.join("pgbouncer.ini"), &options).unwrap();
    let config = config(&import);
    assert_eq!(
        (config.control.user.as_str(), config.control.password.expose()),
        ("watch", &b"hunter2"[..])
    );
}

#[test]
fn what_has_no_equivalent_is_listed_with_advice() {
    let import = import(
        &(general("server_check_query = select 1\nno_such_key = 1\nlogfile =\nauth_type = hba")
            + "[peers]\n1 = host=/tmp\n"),
    );
    assert!(noted(&import, "[pgbouncer] server_check_query = select 1").starts_with("not needed"));
    assert_eq!(noted(&import, "no_such_key = 1"), "this key is not known");
    assert!(noted(&import, "auth_type = hba").contains("auth.trust"));
    assert!(noted(&import, "[peers] 1 = host=/tmp").contains("cancel keys"));
    noted(&import, "[pgbouncer] logfile =");
    let text = import.guards[0].text.as_str();
    let list = text.split("What has no equivalent").nth(1).unwrap();
    assert!(list.contains("server_check_query = select 1"), "{list}");
    assert_eq!(config(&import).upstream.pooling, Pooling::Session);
}

#[test]
fn files_are_included_in_their_place() {
    let folder = Folder::with(&[
        ("pgbouncer.ini", "[databases]\n%include more.ini\n[pgbouncer]\nquery_timeout = 7\n"),
        ("more.ini", "shop = host=127.0.0.1\n[pgbouncer]\nquery_timeout = 5\nlisten_port = 7000\n"),
    ]);
    let import = folder.import().unwrap();
    let text = import.guards[0].text.as_str();
    assert!(text.contains("statement_time = \"7s\"") && text.contains(".s.PGSQL.7000\""), "{text}");

    fs::write(folder.0.join("more.ini"), "%include more.ini\n").unwrap();
    assert!(matches!(folder.import(), Err(ImportError::TooDeep { .. })));
    fs::remove_file(folder.0.join("more.ini")).unwrap();
    assert!(matches!(folder.import(), Err(ImportError::Unreadable { .. })));
}

#[test]
fn what_cannot_be_read_is_told_by_file_and_line() {
    for (ini, told) in [
        ("a = 1\n", "1: a key before the first section"),
        ("[pgbouncer]\nlisten_port\n", "2: expected \"key = value\""),
        ("[databases]\na = host\n", "2: not a connection string"),
        ("[databases]\na = password='x\n", "2: not a connection string"),
        ("[databases]\na = port=x\n", "2: port=x: expected a whole number"),
        (&general("query_timeout = soon"), "5: query_timeout = soon: expected seconds"),
        (&general("listen_port = -1"), "5: listen_port = -1: expected a whole number"),
        ("[pgbouncer]\n", "[databases] is empty"),
    ] {
        let folder = Folder::with(&[("pgbouncer.ini", ini)]);
        let error = folder.import().unwrap_err().to_string();
        assert!(
            error.contains(&format!("pgbouncer.ini:{told}")) || error.ends_with(told),
            "{error}"
        );
    }
}

#[test]
fn connection_strings_are_split_as_pgbouncer_does() {
    let check = |text: &str, expected: Option<&[(&str, &str)]>| {
        let found = pairs(text);
        let found = found.as_ref().map(|found| {
            found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    check("", Some(&[]));
    check("host=a  port = 1", Some(&[("host", "a"), ("port", "1")]));
    check("password='a ''b' x=1", Some(&[("password", "a 'b"), ("x", "1")]));
    check("host=", Some(&[("host", "")]));
    check("host", None);
    check("password='a", None);
    check("a b=1", None);
}
