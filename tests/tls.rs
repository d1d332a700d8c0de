//! TLS towards clients, with nothing configured: MariaDB's own client uses it, and so can log in as
//! an account that only the database knows.

use std::process::{Command, Output};

use harness::*;

/// Runs MariaDB's command-line client against the guard.
fn ask(guard: &Guard, account: Account, more: &[&str], sql: &str) -> Output {
    Command::new(Engine::MariaDb.client().unwrap())
        .args(["--no-defaults", "--protocol=tcp", "--batch", "--skip-column-names"])
        .arg(format!("--host={}", guard.addr().ip()))
        .arg(format!("--port={}", guard.addr().port()))
        .arg(format!("--user={}", account.name))
        .arg(format!("--password={}", account.password))
        .args(more)
        .args(["--execute", sql])
        .output()
        .unwrap()
}

#[tokio::test]
async fn unknown_accounts_log_in_with_mariadbs_client_over_tls() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    // ROOT is not in the configuration: only the database can tell whether its password is right.
    let output = ask(&guard, ROOT, &["--ssl"], "SELECT CURRENT_USER();\\s");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.starts_with("root@%"), "{printed}");
    assert!(printed.contains("Cipher in use"), "{printed}");
    let wrong = Account { password: "wrong", ..ROOT };
    assert!(!ask(&guard, wrong, &["--ssl"], "SELECT 1").status.success());
    // Who does not want it stays plain.
    let plain = ask(&guard, APP, &["--skip-ssl"], "SELECT 2");
    assert_eq!(String::from_utf8_lossy(&plain.stdout), "2\n");
    // Whoever verifies is not deceived.
    let verifying = ask(&guard, APP, &["--ssl", "--ssl-verify-server-cert"], "SELECT 3");
    assert!(!verifying.status.success(), "nobody signed the certificate");
}

#[tokio::test]
async fn tls_can_be_off_or_required() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    // MariaDB's client goes on without it where it is not offered.
    for (tls, argument, works, is_used) in [
        ("off", "--ssl", true, false),
        ("required", "--skip-ssl", false, false),
        ("required", "--ssl", true, true),
    ] {
        let setup = Setup { listener: format!("tls = \"{tls}\""), ..Setup::default() };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let output = ask(&guard, APP, &[argument], "SELECT 1;\\s");
        assert_eq!(output.status.success(), works, "{tls} and {argument}: {output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.contains("Cipher in use"), is_used, "{tls} and {argument}: {printed}");
    }
}
