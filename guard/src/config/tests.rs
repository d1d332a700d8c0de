use std::num::NonZeroU32;

use policy::class::ClassId;

use super::*;

const MINIMAL: &str = "[upstream]
address = \"127.0.0.1:3306\"

[control]
user = \"tidegate\"
password = \"${env:PASSWORD}\"
";

fn parse(text: &str) -> Result<Loaded, ConfigErrors> {
    let env = |name: &str| (name == "PASSWORD").then(|| "s3cret".into());
    Config::parse(Path::new("t.toml"), text, &env)
}

/// The minimal file, and `more` after its six lines and an empty one.
fn with(more: &str) -> String {
    format!("{MINIMAL}\n{more}")
}

#[track_caller]
fn error(text: &str, expected: &str) {
    let errors = parse(text).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(errors.to_string(), expected);
}

#[track_caller]
fn warns(more: &str, expected: &[&str]) {
    let loaded = parse(&with(more)).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, expected);
}

#[test]
fn six_lines_are_enough() {
    let loaded = parse(MINIMAL).unwrap();
    let config = loaded.config;
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(config.listeners, [Listener::default()]);
    assert_eq!(config.control.password.expose(), b"s3cret");
    assert!(config.auth.database);
    assert_eq!(config.class_names(), [DEFAULT_CLASS]);
    assert_eq!(config.guard, Guard::default());
}

#[test]
fn the_console_is_for_postgresql() {
    warns(
        "[admin]\nusers = [\"boss\"]\n",
        &[
            "t.toml:9: admin.users = [\"boss\"]: not used: only PostgreSQL's clients have the console",
        ],
    );
}

#[test]
fn what_is_not_toml_is_told_by_line() {
    error("a = \n", "t.toml:1: not TOML: string values must be quoted, expected literal string");
    error("[upstream]\naddress = 1\naddress = 2\n", "t.toml:3: not TOML: duplicate key");
}

#[test]
fn an_unknown_key_is_told_with_a_guess() {
    error(
        &with("[guard]\nwrokers = 2\n"),
        "t.toml:9: guard.wrokers: unknown key, did you mean \"workers\"?; expected one of mode, \
         workers, drain_timeout",
    );
    error(
        &with("[admim]\n"),
        "t.toml:8: admim: unknown key, did you mean \"admin\"?; expected one of guard, listener, \
         upstream, replica, routing, control, observe, auth, user, overall, limit, melt, hot, ddl, tenants, retries, class, database, rule, switch, pressure, recorder, admin, log",
    );
    error(
        &with("[[rule]]\nname = \"a\"\nclass = \"default\"\nzzz = 1\n"),
        "t.toml:11: rule[1].zzz: unknown key; expected one of name, class, kind, digest, table, tag, \
         user, database, network",
    );
}

#[test]
fn a_missing_key_is_told_by_its_section() {
    error("[control]\nuser = \"a\"\n", "t.toml:1: upstream: required, and missing");
    error(
        "[upstream]\n\n[control]\nuser = \"a\"\n",
        "t.toml:1: upstream.address: required, and missing",
    );
    error(&with("[[rule]]\nname = \"a\"\n"), "t.toml:8: rule[1].class: required, and missing");
}

#[test]
fn a_value_of_the_wrong_form_is_told_with_the_accepted_one() {
    for (more, expected) in [
        (
            "[guard]\ndrain_timeout = 30",
            "t.toml:9: guard.drain_timeout = 30: wrong type; expected text in quotes",
        ),
        (
            "[guard]\ndrain_timeout = \"30 parsecs\"",
            "t.toml:9: guard.drain_timeout = \"30 parsecs\": not a duration; expected a whole number \
             and a unit, such as \"250ms\", \"10s\", \"5m\" or \"2h\"",
        ),
        (
            "[guard]\nmode = \"enforced\"",
            "t.toml:9: guard.mode = \"enforced\": unknown value \"enforced\", did you mean \"enforce\"?; expected \
             one of \"off\", \"observe\", \"enforce\"",
        ),
        (
            "[guard]\nworkers = -1",
            "t.toml:9: guard.workers = -1: wrong type; expected a whole number, 0 or more",
        ),
        (
            "[overall]\nin_flight = 0",
            "t.toml:9: overall.in_flight = 0: wrong type; expected a whole number, 1 or more",
        ),
        (
            "[auth]\ndatabase = \"yes\"",
            "t.toml:9: auth.database = \"yes\": wrong type; expected true or false",
        ),
        (
            "[[listener]]\naddress = \"localhost\"",
            "t.toml:9: listener[1].address = \"localhost\": not an address; expected \"IP:port\", \
             such as \"127.0.0.1:3307\" or \"[::1]:3307\", or the path of a Unix socket",
        ),
        (
            "[class.batch]\nstatement_time = \"0s\"",
            "t.toml:9: class.batch.statement_time = \"0s\": 0 would end everything at once; expected \
             a duration, or \"off\"",
        ),
        (
            "[[rule]]\nname = \"a\"\nclass = \"default\"\nkind = [\"select\", \"updaet\"]",
            "t.toml:11: rule[1].kind = [\"select\", \"updaet\"]: unknown value \"updaet\", did you mean \"update\"?; \
             expected one of \"empty\", \"use\", \"show\", \"explain\", \"set\", \"reset\", \
             \"discard\", \"do\", \"listen\", \"unlisten\", \"notify\", \"deallocate\", \
             \"close\", \"begin\", \"savepoint\", \"commit\", \"rollback\", \"unlock_tables\", \
             \"select\", \"copy_to\", \"declare\", \"fetch\", \"handler\", \"prepare\", \
             \"locking_select\", \"insert\", \"replace\", \"update\", \"delete\", \"merge\", \
             \"copy_from\", \"load\", \"execute\", \"call\", \"xa\", \"other\", \"lock_tables\", \
             \"kill\", \"admin\", \"ddl\"",
        ),
        (
            "[[rule]]\nname = \"a\"\nclass = \"default\"\ndigest = \"12\"",
            "t.toml:11: rule[1].digest = \"12\": not a digest; expected 16 hexadecimal digits, such \
             as \"00c0ffee00c0ffee\"",
        ),
        (
            "[[rule]]\nname = \"a\"\nclass = \"default\"\nnetwork = [\"10.0.0.0/99\"]",
            "t.toml:11: rule[1].network = [\"10.0.0.0/99\"]: \"10.0.0.0/99\" is not a network; expected address and \
             prefix length, such as \"10.1.0.0/16\"",
        ),
        (
            "[[switch]]\ntarget = \"batch\"",
            "t.toml:9: switch[1].target = \"batch\": not a target; expected \"class NAME\", \"tag \
             KEY=VALUE\", \"user NAME\", \"table NAME\", \"digest DIGEST\" or \"kind KIND\"",
        ),
        (
            "[[switch]]\ntarget = \"tag batch\"",
            "t.toml:9: switch[1].target = \"tag batch\": not a tag; expected \"tag KEY=VALUE\", such \
             as \"tag job=reminders\"",
        ),
        (
            "[listener]\naddress = \"127.0.0.1:1\"",
            "t.toml:8: listener: wrong type; expected a list: [ … ] for values, [[name]] for sections",
        ),
    ] {
        error(&with(more), expected);
    }
    let size = MINIMAL.replace("3306\"\n", "3306\"\nmax_packet = \"64 MB\"\n");
    error(
        &size,
        "t.toml:3: upstream.max_packet = \"64 MB\": not a size; expected a whole number and a unit, \
         such as \"64KiB\" or \"16MiB\"",
    );
    error(
        &MINIMAL.replace("127.0.0.1:3306", "db:port"),
        "t.toml:2: upstream.address = \"db:port\": not an address; expected \"host:port\", such as \
         \"db.internal:3306\" or \"[::1]:5432\"",
    );
}

#[test]
fn the_environment_is_put_in_or_missed() {
    error(
        &MINIMAL.replace("PASSWORD", "NOT_SET"),
        "t.toml:6: control.password: the environment has no variable NOT_SET",
    );
    error(
        &MINIMAL.replace("127.0.0.1:3306", "${host}"),
        "t.toml:2: upstream.address = \"${host}\": not understood; expected \"${env:NAME}\", or \
         \"$${\" for a plain \"${\"",
    );
    let literal = MINIMAL.replace("${env:PASSWORD}", "a$${b}${env:PASSWORD}c");
    assert_eq!(parse(&literal).unwrap().config.control.password.expose(), b"a${b}s3cretc");
}

#[test]
fn a_secret_is_never_shown() {
    let wrong_type = MINIMAL.replace("\"${env:PASSWORD}\"", "8675309");
    error(&wrong_type, "t.toml:6: control.password: wrong type; expected text in quotes");
    let unquoted = MINIMAL.replace("\"${env:PASSWORD}\"", "hunter2");
    assert!(!parse(&unquoted).unwrap_err().to_string().contains("hunter2"));
    let config = parse(MINIMAL).unwrap().config;
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!serde_json::to_string(&config).unwrap().contains("s3cret"));
}

#[test]
fn a_secret_is_read_from_a_file() {
    let file = std::env::temp_dir().join(format!("tidegate-secret-{}", std::process::id()));
    std::fs::write(&file, "from file\n").unwrap();
    let named = format!("password_file = \"{}\"", file.display());
    let text = MINIMAL.replace("password = \"${env:PASSWORD}\"", &named);
    assert_eq!(parse(&text).unwrap().config.control.password.expose(), b"from file");
    std::fs::remove_file(&file).unwrap();
    error(
        &text,
        &format!(
            "t.toml:6: control.password_file = \"{}\": cannot be read: No such file or directory \
             (os error 2)",
            file.display()
        ),
    );
    error(
        &format!("{MINIMAL}password_file = \"/x\"\n"),
        "t.toml:7: control.password_file = \"/x\": given beside password; expected one of the two",
    );
}

/// An address that others reach takes both; a token that is no good is none anywhere.
#[test]
fn who_may_come_to_the_admin_side_is_never_left_open() {
    const TOKEN: &str = "token = \"0123456789abcdef0123456789abcdef\"";
    const TLS: &str = "certificate = \"/dev/null\"\nkey = \"/dev/null\"";
    let check = |lines: &[&str], expected: Option<&str>| {
        let more = format!("[admin]\n{}\n", lines.join("\n"));
        match (parse(&with(&more)), expected) {
            (Ok(loaded), None) => assert_eq!(loaded.warnings, [], "{more}"),
            (Err(errors), Some(part)) => {
                let told = errors.to_string();
                assert!(told.contains(part) && !told.contains("0123"), "{more}: {told}");
            }
            (got, _) => panic!("{more}: {got:?}"),
        }
    };
    for open in
        ["address = \"0.0.0.0:9307\"", "address = \"[::]:9307\"", "address = \"10.0.0.7:9307\""]
    {
        check(&[open, TOKEN, TLS], None);
        check(&[open, TOKEN], Some("expected certificate and key as well"));
        check(&[open, TLS], Some("expected token or token_file as well"));
        check(&[open], Some("expected token or token_file, and certificate and key as well"));
    }
    for lines in [&[TOKEN, TLS][..], &[TOKEN], &[TLS], &[]] {
        check(lines, None);
    }
    let socket = "address = \"/run/tidegate/admin\"";
    check(&[socket], None);
    check(&[socket, "socket_mode = \"0660\""], None);
    let everybody = "socket_mode = \"0666\"";
    check(&[socket, everybody], Some("socket_mode = \"0666\": open to everybody on this host"));
    check(&[socket, everybody, TOKEN], None);
    for (token, part) in [
        ("token = \"\"", "admin.token: too short"),
        ("token = \"0123456789abcdef0123456789abcde\"", "admin.token: too short"),
        ("token = \"0123456789abcdef0123456789abcde \"", "admin.token: not a token"),
        ("token = \"0123456789abcdef0123456789abcd\\r\\n\"", "admin.token: not a token"),
        ("token_file = \"/dev/null\"", "admin.token_file = \"/dev/null\": too short"),
        ("token_file = \"/none\"", "cannot be read"),
        ("token = 123401234", "admin.token: wrong type; expected text in quotes"),
    ] {
        check(&[token], Some(part));
    }
    check(
        &[TOKEN, "token_file = \"/dev/null\""],
        Some("token_file = \"/dev/null\": given beside token"),
    );
    check(&["key = \"/dev/null\""], Some("admin.certificate: missing"));
    let long = format!("address = \"/{}\"", "x".repeat(120));
    check(&[&long], Some("too long for a Unix socket; expected 107 bytes at most"));
    let shown = parse(&with(&format!("[admin]\n{TOKEN}\n"))).unwrap().config;
    let shown = format!("{shown:?} {:?}", list(&shown));
    assert!(shown.contains("***") && !shown.contains("0123"), "{shown}");
}

#[test]
fn what_no_key_can_tell_alone_is_told() {
    for (more, expected) in [
        (
            "[[listener]]\n[[listener]]\n",
            "t.toml:9: listener[2].address: already taken by listener[1].address; expected another \
             port",
        ),
        (
            "[admin]\naddress = \"0.0.0.0:9307\"",
            "t.toml:9: admin.address = \"0.0.0.0:9307\": open to other hosts; expected token or \
             token_file, and certificate and key as well, or a loopback address such as \
             \"127.0.0.1:9307\", or the path of a Unix socket (metrics_address may be open)",
        ),
        (
            "[admin]\nmetrics_address = \"0.0.0.0:9307\"",
            "t.toml:9: admin.metrics_address = \"0.0.0.0:9307\": already taken by admin.address; \
             expected another port",
        ),
        (
            "[[listener]]\ntls = \"required\"\nkey = \"/dev/null\"",
            "t.toml:8: listener[1].certificate: missing: certificate and key go together",
        ),
        (
            "[[listener]]\ntls = \"offered\"\ncertificate = \"/dev/null\"",
            "t.toml:8: listener[1].key: missing: certificate and key go together",
        ),
        (
            "[[listener]]\ncertificate = \"/dev/null\"",
            "t.toml:8: listener[1].key: missing: certificate and key go together",
        ),
        (
            "[[listener]]\ntls = \"required\"\ncertificate = \"/dev/null\"\nkey = \"/none.pem\"",
            "t.toml:11: listener[1].key = \"/none.pem\": cannot be read: No such file or directory \
             (os error 2)",
        ),
        (
            "listener = []",
            "t.toml:8: control.listener: unknown key; expected one of user, password, \
          password_file, connections, database, address",
        ),
        (
            "[[listener]]\nmax_clients = 0",
            "t.toml:9: listener[1].max_clients = 0: out of range; expected 1 to 1000000",
        ),
        (
            "[[listener]]\nlogin_timeout = \"0s\"",
            "t.toml:9: listener[1].login_timeout = \"0s\": 0 would end everything at once; expected a \
             duration above 0",
        ),
        (
            "[auth]\ndatabase = false",
            "t.toml:9: auth.database = false: nobody could log in; expected true, or accounts in \
             [[user]] or auth.file",
        ),
        (
            "[auth]\nfile = \"/none\"",
            "t.toml:9: auth.file = \"/none\": cannot be read: No such file or directory (os error 2)",
        ),
        (
            "[[user]]\nname = \"a\"\npassword = \"x\"\n[[user]]\nname = \"a\"\npassword = \"x\"",
            "t.toml:12: user[2].name = \"a\": given twice; expected one [[user]] per account",
        ),
        (
            "[[user]]\nname = \"\"\npassword = \"x\"",
            "t.toml:9: user[1].name = \"\": empty; expected the name of an account",
        ),
        (
            "[overall]\nburst = 5",
            "t.toml:9: overall.burst = 5: given without rate; expected both, or neither",
        ),
        (
            "[database.shop]\nqueue_length = 100001",
            "t.toml:9: database.shop.queue_length = 100001: out of range; expected 0 to 100000",
        ),
        (
            "[class.Batch]\n[[rule]]\nname = \"a\"\nclass = \"Batch\"",
            "t.toml:8: class.Batch: not a class name; expected up to 32 of a-z, 0-9, \"_\" and \"-\"",
        ),
        (
            "[class.batch]\n[[rule]]\nname = \"a\"\nclass = \"bacth\"",
            "t.toml:11: rule[1].class = \"bacth\": no such class, did you mean \"batch\"?; expected \
             one of default, batch",
        ),
        (
            "[[rule]]\nname = \"a\"\nclass = \"default\"\nuser = \"x\"\n[[rule]]\nname = \"a\"\nclass \
             = \"default\"\n",
            "t.toml:13: rule[2].name = \"a\": given twice; expected one rule per name",
        ),
        (
            "[[switch]]\ntarget = \"class bacth\"",
            "t.toml:9: switch[1].target = \"class bacth\": no such class; expected one of default",
        ),
        (
            "[[switch]]\ntarget = \"kind ddl\"\nkeep_ratio = 1.5",
            "t.toml:10: switch[1].keep_ratio = 1.5: out of range; expected 0 to 1",
        ),
        (
            "[[switch]]\ntarget = \"kind ddl\"\n[[switch]]\ntarget = \"kind ddl\"",
            "t.toml:11: switch[2].target = \"kind ddl\": given twice; expected one switch per target",
        ),
        (
            "[log]\nlevel = \"guard=loud\"",
            "t.toml:9: log.level = \"guard=loud\": not a level; expected error, warn, info, debug or \
             trace, or directives such as \"info,guard::gate=debug\"",
        ),
    ] {
        error(&with(more), expected);
    }
}

#[test]
fn bounds_of_the_upstream_and_the_control_connections_hold() {
    for (key, value, expected) in [
        ("connections", "0", "expected 1 to 10000"),
        ("handshakes_at_once", "0", "expected 1 to 1000"),
        ("handshakes_per_second", "0", "expected 1 to 10000"),
        ("statements_per_connection", "0", "expected 1 to 65536"),
        ("statements_per_client", "70000", "expected 1 to 65536"),
        ("listen_connections", "1001", "expected 0 to 1000"),
        ("replication_connections", "1001", "expected 0 to 1000"),
        ("max_packet", "\"1KiB\"", "expected 1MiB to 1GiB"),
    ] {
        let text = MINIMAL.replace("3306\"\n", &format!("3306\"\n{key} = {value}\n"));
        error(&text, &format!("t.toml:3: upstream.{key} = {value}: out of range; {expected}"));
    }
    error(
        &MINIMAL.replace("3306\"\n", "3306\"\ntls = \"required\"\n"),
        "t.toml:1: upstream.ca: required by tls = \"required\", and missing",
    );
    error(
        &MINIMAL.replace("3306\"\n", "3306\"\ntls_negotiation = \"direct\"\n"),
        "t.toml:3: upstream.tls_negotiation = \"direct\": PostgreSQL's alone; expected \"request\"",
    );
    error(
        &MINIMAL
            .replace("3306\"\n", "3306\"\nengine = \"postgres\"\ntls_negotiation = \"direct\"\n"),
        "t.toml:4: upstream.tls_negotiation = \"direct\": nothing to begin; expected tls = \"required\"",
    );
    error(
        &format!("{MINIMAL}connections = 1\n"),
        "t.toml:7: control.connections = 1: out of range; expected 2 to 16",
    );
    error(
        &MINIMAL.replace("\"tidegate\"", "\"\""),
        "t.toml:5: control.user = \"\": empty; expected the name of an account",
    );
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_the_file() {
    error(
        &with("[[switch]]\ntarget = \"class a\"\n[auth]\nfile = \"/none\"\n"),
        "t.toml:9: switch[1].target = \"class a\": no such class; expected one of default\n\
         t.toml:11: auth.file = \"/none\": cannot be read: No such file or directory (os error 2)",
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    warns(
        "[overall]\nin_flight = 33",
        &["t.toml:9: overall.in_flight = 33: never reached: upstream.connections allows only 32"],
    );
    warns(
        "[class.default]\nstatement_time = \"2m\"",
        &[
            "t.toml:9: class.default.statement_time = \"2m\": 2m is never reached: transaction_time is 1m \
         and ends it first",
        ],
    );
    warns(
        "[class.default]\nqueue_time = \"1m\"",
        &[
            "t.toml:9: class.default.queue_time = \"1m\": 1m in line is longer than statement_time, which \
         is 30s",
        ],
    );
    warns("[class.idle]", &["t.toml:8: class.idle: no rule leads here"]);
    warns(
        "[class.a]\nin_flight = 32\n[[rule]]\nname = \"all\"\nclass = \"a\"\n\n[[rule]]\nname = \
         \"late\"\nclass = \"default\"\nuser = \"x\"",
        &[
            "t.toml:8: class: the named classes together may run 32, and there is room for 32: they \
             can keep class default waiting",
            "t.toml:15: rule[2].name = \"late\": never matches: rule \"all\" above takes all that it \
             would",
        ],
    );
    warns(
        "[[listener]]\naddress = \"0.0.0.0:3307\"",
        &["t.toml:9: listener[1].address = \"0.0.0.0:3307\": open to other hosts without tls = \
         \"required\": statements and results can be read on the way"],
    );
    warns(
        "[[listener]]\naddress = \"127.0.0.1:3306\"",
        &[
            "t.toml:9: listener[1].address = \"127.0.0.1:3306\": the same port as upstream.address: the \
         guard may connect to itself",
        ],
    );
    warns(
        "[[listener]]\nauth_plugin = \"mysql_native_password\"",
        &[
            "t.toml:9: listener[1].auth_plugin = \"mysql_native_password\": accounts that are neither in \
         [[user]] nor in auth.file cannot log in here: this method hides the password that the \
         database would have to check",
        ],
    );
    warns(
        "[[user]]\nname = \"guest\"",
        &["t.toml:8: user[1].password: empty: this account needs no password"],
    );
    let remote = parse(&MINIMAL.replace("127.0.0.1", "db")).unwrap();
    assert_eq!(
        remote.warnings[0].to_string(),
        "t.toml:1: upstream.tls: another host without tls = \"required\": statements and results can \
         be read or changed on the way"
    );
}

#[test]
fn narrower_rules_before_wider_ones_are_fine() {
    warns(
        "[[rule]]\nname = \"a\"\nclass = \"default\"\nkind = [\"ddl\"]\nnetwork = [\"10.0.0.0/24\"]\n\
         [[rule]]\nname = \"b\"\nclass = \"default\"\nnetwork = [\"10.0.0.0/8\"]",
        &[],
    );
}

#[test]
fn a_policy_is_made_of_it() {
    let text = with(
        "[guard]\nmode = \"observe\"\n[overall]\nin_flight = 20\n[database.shop]\nrate = 5\n\
         [class.batch]\nin_flight = 4\nrate = 10\nburst = 2\nlock_wait_time = \"off\"\n[[rule]]\nname \
         = \"jobs\"\nclass = \"batch\"\ntag = { job = \"*\" }\n[[switch]]\ntarget = \"tag \
         job=reminders\"\nreason = \"storm\"\n",
    );
    let config = parse(&text).unwrap().config;
    let policy = config.policy();
    assert_eq!(policy.mode, policy::class::Mode::Observe);
    assert_eq!(policy.overall.in_flight, Some(20));
    let names: Vec<&str> = policy.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["default", "batch"]);
    let batch = &policy.classes[1];
    assert_eq!(batch.limits.rate.map(|rate| rate.burst), NonZeroU32::new(2));
    assert_eq!(batch.times.lock_wait, None);
    assert_eq!(policy.rules.rules()[0].class, ClassId(1));
    assert_eq!(policy.databases[0].0, "shop");
    let switch = config.initial_switches().next().unwrap();
    assert_eq!(switch.target.to_string(), "tag job=reminders");
}

#[test]
fn the_servers_net_is_wider_than_the_widest_class() {
    let net = parse(MINIMAL).unwrap().config.native_limits();
    assert_eq!(net.statement, Some(Duration::from_millis(38_500)));
    assert_eq!(net.lock_wait, Some(Duration::from_secs(5)));
    let unlimited = parse(&with("[class.default]\nstatement_time = \"off\"")).unwrap().config;
    assert_eq!(unlimited.native_limits().statement, None);
    let off = MINIMAL.replace("3306\"\n", "3306\"\nnative_limits = false\n");
    assert_eq!(parse(&off).unwrap().config.native_limits(), NativeLimits::default());
}

#[test]
fn the_examples_are_valid() {
    for example in ["examples/tidegate.toml", "examples/minimal.toml"] {
        let path = manual::root().join(example);
        let text = std::fs::read_to_string(&path).unwrap();
        let env = |name: &str| name.starts_with("TIDEGATE_").then(|| "secret".into());
        let loaded = Config::parse(&path, &text, &env).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
}

#[test]
fn ports_that_are_not_given_follow_the_engine() {
    let text = |engine: &str, more: &str| {
        format!(
            "[upstream]\n{engine}address = \"db\"\n[replica.east]\naddress = \"[::1]\"\n\
             [replica.west]\naddress = \"db.west:7\"\n[control]\nuser = \"c\"\npassword = \"p\"\n{more}"
        )
    };
    for (engine, own, guards) in [
        ("", 3306, 3307),
        ("engine = \"mysql\"\n", 3306, 3307),
        ("engine = \"postgres\"\n", 5432, 6432),
    ] {
        let config = parse(&text(engine, "")).unwrap().config;
        assert_eq!(config.upstream.address.to_string(), format!("db:{own}"));
        assert_eq!(config.replicas["east"].address.to_string(), format!("[::1]:{own}"));
        assert_eq!(config.replicas["west"].address.to_string(), "db.west:7");
        let listeners = |more: &str| {
            let config = parse(&text(engine, more)).unwrap().config;
            config.listeners.iter().map(|one| one.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(listeners(""), [format!("127.0.0.1:{guards}")]);
        assert_eq!(listeners("[[listener]]\nmax_clients = 7"), [format!("127.0.0.1:{guards}")]);
        let two = "[[listener]]\naddress = \"127.0.0.1:3307\"\n[[listener]]\naddress = \"/run/s\"";
        assert_eq!(listeners(two), ["127.0.0.1:3307", "/run/s"]);
        let of = |key: &str| list(&config).into_iter().find(|listed| listed.key == key).unwrap();
        let listener = of("listener.1.address");
        assert_eq!(listener.value, listener.default);
        assert_eq!(of("upstream.engine").default.as_deref(), Some("mysql"));
    }
    let socket = MINIMAL.replace("127.0.0.1:3306", "/run/postgresql/.s.PGSQL.5432");
    assert_eq!(parse(&socket).unwrap().config.upstream.address.port, 0);
    let door = format!("{MINIMAL}address = \"db\"\n");
    let door = parse(&door).unwrap().config.control.address.unwrap();
    assert_eq!(door.to_string(), "db:3306");
}
