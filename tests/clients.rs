//! The client matrix: each program of `tests/clients` runs all its checks against a private server
//! directly, which proves the checks, and then through the guard in front of it.
//!
//! A program prints a line for each check and says which failed; it can be run by hand against any
//! endpoint with the variables that `tests/clients/settings.py` lists.

use harness::*;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The longest that one program may take, on a machine that is busy with others.
const LONGEST: Duration = Duration::from_secs(900);

/// A test for each program and engine; MySQL is the extended matrix.
macro_rules! matrix {
    ($($name:ident: $program:literal,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn does_through_the_guard_what_it_does_directly_on_mariadb() {
                check_on(Engine::MariaDb, $program).await;
            }

            #[tokio::test]
            async fn does_through_the_guard_what_it_does_directly_on_mysql() {
                check_on_mysql($program).await;
            }
        }
    )*};
}

matrix! {
    pymysql: "matrix.py pymysql",
    mysqlclient: "matrix.py mysqlclient",
    connector_python: "matrix.py connector-python",
    connector_python_over_c: "matrix.py connector-python-c",
    mysql2: "matrix.py mysql2",
    mysql_async: "matrix.py mysql_async",
    sqlx: "matrix.py sqlx",
    the_mariadb_client: "matrix.py mariadb-cli",
    sysbench: "sysbench.py",
    a_shop_on_sqlalchemy: "application.py sqlalchemy",
    a_shop_on_django: "application.py django",
}

/// MySQL's client cannot log in to MariaDB, but can to the guard before it.
#[tokio::test]
async fn the_mysql_client_does_through_the_guard_what_it_does_directly() {
    if Engine::MySql.available() {
        check_on(Engine::MySql, "matrix.py mysql-cli").await;
        let server = server(Engine::MariaDb).await;
        through_the_guard(&server, "matrix.py mysql-cli").await;
    }
}

#[tokio::test]
async fn clients_of_mariadb_10_5_do_through_the_guard_what_they_do_directly() {
    check_on_other_mariadb(Engine::MariaDb105).await;
}

#[tokio::test]
async fn clients_of_mariadb_11_8_do_through_the_guard_what_they_do_directly() {
    check_on_other_mariadb(Engine::MariaDb118).await;
}

/// A driver in each language, and the client of the release: the extended matrix.
async fn check_on_other_mariadb(engine: Engine) {
    if engine.available() {
        for program in ["pymysql", "mysqlclient", "mysql2", "sqlx", "mariadb-cli"] {
            check_on(engine, &format!("matrix.py {program}")).await;
        }
    }
}

/// Programs that cannot log in to a MySQL 9 by themselves: over plain text they send no password to
/// `caching_sha2_password`, which is all it has.
const NOT_ON_MYSQL: [&str; 2] = ["matrix.py connector-python", "matrix.py connector-python-c"];

async fn check_on_mysql(program: &str) {
    if NOT_ON_MYSQL.contains(&program) {
        eprintln!("{program}: not on MySQL, where it needs TLS for every login");
    } else if Engine::MySql.available() {
        check_on(Engine::MySql, program).await;
    }
}

async fn check_on(engine: Engine, program: &str) {
    let server = server(engine).await;
    directly(&server, program).await;
    through_the_guard(&server, program).await;
}

async fn server(engine: Engine) -> Server {
    Server::start(engine).await.expect("a private server")
}

async fn directly(server: &Server, program: &str) {
    let ports = match server.engine() {
        Engine::MySql => Ports { native: None, sha2: Some(server.addr().port()) },
        _ => Ports { native: Some(server.addr().port()), sha2: None },
    };
    run(program, "directly", server, ports).await;
}

/// The guard asks for each plugin at a listener of its own; both offer TLS.
async fn through_the_guard(server: &Server, program: &str) {
    let (certificate, key) = server.identity();
    let tls = format!("tls = \"offered\"\ncertificate = {certificate:?}\nkey = {key:?}");
    let sha2 = free_port().expect("a free port");
    let setup = Setup {
        listener: format!("auth_plugin = \"mysql_native_password\"\n{tls}"),
        sections: format!(
            "[auth]\nlocal_infile = true\n\n[[listener]]\naddress = \"127.0.0.1:{sha2}\"\nauth_plugin = \"caching_sha2_password\"\n{tls}"
        ),
        ..Setup::default()
    };
    let guard = Guard::start(server, &setup).await.expect("a guard");
    let ports = Ports { native: Some(guard.addr().port()), sha2: Some(sha2) };
    run(program, "through the guard", server, ports).await;
}

/// Where an account of each plugin logs in.
struct Ports {
    native: Option<u16>,
    sha2: Option<u16>,
}

/// Runs one program and fails with what it printed of the checks that failed.
async fn run(program: &str, how: &str, server: &Server, ports: Ports) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = Command::new(installed("python/bin/python"));
    command
        .args(program.split(' '))
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NODE_PATH", installed("node/node_modules"))
        .env("TG_RUST_PEER", env!("CARGO_BIN_EXE_rust-peer"))
        .env("TG_CA", server.ca())
        .env("TG_DATABASE", "app")
        .env("TG_ENGINE", server.engine().to_string().to_lowercase())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Ok(client) = Engine::MySql.client() {
        command.env("TG_MYSQL_CLI", client);
    }
    for (prefix, port) in [("TG", ports.native), ("TG_SHA2", ports.sha2)] {
        if let Some(port) = port {
            command
                .env(format!("{prefix}_PORT"), port.to_string())
                .env(format!("{prefix}_USER"), APP.name)
                .env(format!("{prefix}_PASSWORD"), APP.password);
        }
    }
    let output = tokio::time::timeout(LONGEST, command.output())
        .await
        .unwrap_or_else(|_| panic!("{program} {how} took longer than {LONGEST:?}"))
        .expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let failed: String = printed
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .map(|line| format!("{line}\n"))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    eprintln!("{program} {how}:\n{failed}");
    assert!(output.status.success(), "{program} {how}:\n{failed}{errors}");
}

/// A file that `scripts/install-clients.sh` has made.
fn installed(name: &str) -> PathBuf {
    let path = state().join(name);
    assert!(path.exists(), "{} is missing: run scripts/install-clients.sh", path.display());
    path
}
