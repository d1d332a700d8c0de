//! The client matrix of PostgreSQL: each program of `tests/clients/postgres` runs all its checks
//! against a private server directly, which proves the checks, and through a guard before it.
//!
//! A program prints a line for each check and says which failed; it can be run by hand against any
//! endpoint with the variables that `tests/clients/postgres/settings.py` lists.

use harness::*;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The longest that one program may take, on a machine that is busy with others.
const LONGEST: Duration = Duration::from_secs(900);

/// Whether the programs run through the guard too; without, while a check itself is written.
const THROUGH_THE_GUARD: bool = true;

/// A test for each program and generation; 18 is the extended matrix.
macro_rules! matrix {
    ($($name:ident: $program:literal,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn does_all_its_checks_on_postgres() {
                check_on(Engine::Postgres, $program).await;
            }

            #[tokio::test]
            async fn does_all_its_checks_on_postgres_18() {
                check_on(Engine::Postgres18, $program).await;
            }
        }
    )*};
}

matrix! {
    psycopg: "matrix.py psycopg",
    psycopg2: "matrix.py psycopg2",
    asyncpg: "matrix.py asyncpg",
    node_postgres: "matrix.py node-postgres",
    postgres_js: "matrix.py postgres.js",
    tokio_postgres: "matrix.py tokio-postgres",
    sqlx: "matrix.py sqlx",
    psql: "matrix.py psql",
    pgbench: "pgbench.py",
    a_shop_on_sqlalchemy: "application.py sqlalchemy",
    a_shop_on_django: "application.py django",
}

async fn check_on(engine: Engine, program: &str) {
    if !engine.available() {
        return;
    }
    let server = Server::start(engine).await.expect("a private server");
    run(program, "directly", &server, server.addr()).await;
    if THROUGH_THE_GUARD {
        let (certificate, key) = server.identity();
        let setup = Setup {
            listener: format!("tls = \"offered\"\ncertificate = {certificate:?}\nkey = {key:?}"),
            ..Setup::default()
        };
        let guard = Guard::start(&server, &setup).await.expect("a guard");
        run(program, "through the guard", &server, guard.addr()).await;
    }
}

/// Runs one program and fails with what it printed of the checks that failed.
async fn run(program: &str, how: &str, server: &Server, addr: SocketAddr) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/postgres");
    let mut command = Command::new(installed("python/bin/python"));
    command
        .args(program.split(' '))
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NODE_PATH", installed("node/node_modules"))
        .env("TG_RUST_PEER", env!("CARGO_BIN_EXE_rust-peer-postgres"))
        .env("TG_CA", server.ca())
        .env("TG_DATABASE", "app")
        .env("TG_PORT", addr.port().to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (prefix, account) in [("TG", APP), ("TG_MD5", MD5)] {
        command
            .env(format!("{prefix}_USER"), account.name)
            .env(format!("{prefix}_PASSWORD"), account.password);
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
