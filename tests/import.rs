//! A guard that is configured by what `tidegate import` made of PgBouncer's configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use drill::server::postgres::connect;
use harness::*;

/// What PostgreSQL keeps of a password.
async fn stored(server: &Server, account: Account) -> String {
    let root = server.postgres_root().await.unwrap();
    let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
    root.query_one(sql, &[&account.name]).await.unwrap().get(0)
}

/// PgBouncer's configuration for `server`.
fn ini(server: &Server, doors: Doors) -> String {
    format!(
        "[databases]\n\
         app = host={} port={} pool_size=3\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {}\n\
         auth_type = scram-sha-256\n\
         auth_file = userlist.txt\n\
         auth_user = {}\n\
         pool_mode = transaction\n\
         query_timeout = 1\n\
         server_reset_query = DISCARD ALL\n",
        server.addr().ip(),
        server.addr().port(),
        doors.listener.port(),
        CONTROL.name,
    )
}

/// What the command writes, for a guard behind these doors.
fn imported(folder: &Path, server: &Server, doors: Doors) -> String {
    fs::write(folder.join("pgbouncer.ini"), ini(server, doors)).unwrap();
    let output = Command::new(program().unwrap())
        .current_dir(folder)
        .args(["import", "pgbouncer.ini", "--force"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("not imported: [pgbouncer] server_reset_query"), "{told}");
    assert!(!told.contains(APP.password) && !told.contains(CONTROL.password), "{told}");
    let path = folder.join("tidegate.toml");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // The port of the HTTP side is the guard's own matter.
    fs::read_to_string(&path).unwrap().replace("127.0.0.1:9307", &doors.admin.to_string())
}

#[tokio::test]
async fn a_guard_runs_from_pgbouncers_configuration() {
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let folder = Scratch::new().unwrap();
    let list = [
        (APP.name, APP.password.to_owned()),
        (OTHER.name, stored(&server, OTHER).await),
        (MD5.name, stored(&server, MD5).await),
        (CONTROL.name, CONTROL.password.to_owned()),
    ];
    let list = list.map(|(user, secret)| format!("\"{user}\" \"{secret}\"\n")).concat();
    fs::write(folder.path().join("userlist.txt"), list).unwrap();
    let guard = Guard::start_with(|doors| imported(folder.path(), &server, doors)).await.unwrap();
    // The last is on no list: the database is asked.
    for account in [APP, OTHER, MD5, UNLISTED] {
        let client = connect(&account.config(guard.addr())).await.unwrap();
        let row = client.query_one("SELECT current_user::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), account.name);
    }
    let wrong = Account { password: "wrong", ..OTHER };
    assert!(connect(&wrong.config(guard.addr())).await.is_err());

    let client = connect(&APP.config(guard.addr())).await.unwrap();
    let error = client.simple_query("SELECT pg_sleep(60)").await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{error}");
    // PgBouncer would have hung up.
    client.simple_query("SELECT 1").await.unwrap();
}

/// An account of the server that no list has.
const UNLISTED: Account = ROOT;
