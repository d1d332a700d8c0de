//! The sections of our file, from PgBouncer's keys; all but the limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::databases::Group;
use super::draft::{Draft, duration, list, text};
use super::hba;
use super::limits::{self, UserLimits};
use super::listeners;
use super::settings::Settings;
use super::{ImportError, Options};
use crate::postgres::stored::Stored;
use crate::users::read_password_file;

/// Where the HTTP side of the first guard is.
const ADMIN_PORT: u16 = 9307;
/// More connections no guard takes.
const CONNECTIONS_MAX: u32 = 10_000;
/// What stands for "never" where there has to be a duration.
pub(super) const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Writes the configuration of one guard, the `number`th from 0.
pub(super) fn guard(
    settings: &mut Settings,
    options: &Options,
    group: &Group,
    users: &[UserLimits],
    number: u16,
) -> Result<Draft, ImportError> {
    let mut draft = Draft::new();
    draft.comment(
        "Made of PgBouncer's configuration. The comment behind each value says which key it is \
         from; what has no equivalent is listed at the end. `tidegate check` reads this file.",
    );
    listeners::write(&mut draft, settings, number)?;
    upstream(&mut draft, settings, group)?;
    control(&mut draft, settings, options, group);
    auth(&mut draft, settings);
    limits::write(&mut draft, settings, group, users)?;
    draft.section("[admin]");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT.saturating_add(number)));
    draft.set("address", text(&address.to_string()).as_str(), "metrics, health, `tidegate status`");
    draft
        .comment("The console is the database tidegate, as PgBouncer's is the database pgbouncer.");
    for (theirs, ours) in [("admin_users", "users"), ("stats_users", "stats_users")] {
        if let Some(given) = settings.text(theirs) {
            let names = given.value.split(',').map(str::trim).filter(|name| !name.is_empty());
            draft.set(ours, list(names), &given.from);
        }
    }
    Ok(draft)
}

fn upstream(draft: &mut Draft, settings: &mut Settings, group: &Group) -> Result<(), ImportError> {
    draft.section("[upstream]");
    draft.set("engine", "\"postgres\"", "PgBouncer knows no other");
    draft.set("address", text(&group.server.to_string()).as_str(), "host and port of [databases]");
    let sum = group.databases.iter().fold(0_u32, |sum, it| sum.saturating_add(it.connections));
    draft.comment(
        "PgBouncer bounds each pair of user and database by itself; this is one bound for all \
         users of these databases together, and for what runs at once.",
    );
    let sum = sum.clamp(1, CONNECTIONS_MAX);
    draft.set(
        "connections",
        sum,
        "sum over [databases]: max_db_connections, else pool size and reserve",
    );
    let connect = settings.seconds("server_connect_timeout", 15)?;
    let idle = settings.seconds("server_idle_timeout", 600)?;
    for (key, time) in [("connect_timeout", connect), ("idle_timeout", idle)] {
        let value = if time.value.is_zero() { NEVER } else { time.value };
        draft.set(key, duration(value), &time.from);
    }
    pooling(draft, settings);
    let statements = settings.number("max_prepared_statements", 200)?;
    if statements.value > 0 {
        let most = statements.value.min(65_536);
        draft.set("statements_per_connection", most, &statements.from);
    } else {
        settings.note(
            "[pgbouncer] max_prepared_statements = 0",
            "prepared statements always work across connections; the guard's own bound holds",
        );
    }
    tls(draft, settings, group);
    Ok(())
}

fn pooling(draft: &mut Draft, settings: &mut Settings) {
    let given = settings.text("pool_mode");
    let mode = given.as_ref().map_or("session", |given| given.value.as_str());
    let pooling = if mode == "session" { "session" } else { "transaction" };
    let from = if given.is_some() { "pool_mode" } else { "PgBouncer's default pool_mode" };
    draft.set("pooling", text(pooling).as_str(), from);
    match mode {
        "session" => settings.note(
            "[pgbouncer] pool_mode = session",
            "kept; with upstream.pooling = \"transaction\" far fewer connections do, and what \
             cannot move (temporary tables, session locks …) keeps its connection by itself",
        ),
        "statement" => settings.note(
            "[pgbouncer] pool_mode = statement",
            "\"transaction\" is written: transactions of several statements are not refused",
        ),
        _ => {}
    }
}

/// TLS towards the server. Where PgBouncer takes what it can get, the guard wants TLS from all but
/// this host: it rather fails at start than sends in the clear what was not.
fn tls(draft: &mut Draft, settings: &mut Settings, group: &Group) {
    if group.server.socket().is_some() {
        draft.set("tls", text("off").as_str(), "a Unix socket has none");
        return;
    }
    let given = settings.text("server_tls_sslmode");
    let mode = given.as_ref().map_or("prefer", |given| given.value.as_str());
    let from = match &given {
        Some(_) => "server_tls_sslmode",
        None => "PgBouncer's default server_tls_sslmode",
    };
    let host = &group.server.host;
    let is_local =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let tls = match mode {
        "disable" => "off",
        "allow" | "prefer" if is_local => "off",
        "verify-ca" | "verify-full" => "required",
        _ => "unverified",
    };
    draft.set("tls", text(tls).as_str(), from);
    let ca = settings.file("server_tls_ca_file");
    if tls == "required" {
        let path = ca
            .as_ref()
            .map_or("/etc/ssl/certs/ca-certificates.crt".into(), |ca| ca.value.to_string_lossy());
        draft.set("ca", text(&path).as_str(), "server_tls_ca_file");
    }
    match mode {
        "allow" | "prefer" => settings.note(
            format!("[pgbouncer] server_tls_sslmode = {mode} to {}", group.server),
            format!(
                "there is no \"if it can\": tls = \"{tls}\" is written; choose \"off\", or \
                     \"required\" with ca"
            ),
        ),
        "verify-ca" => settings.note(
            "[pgbouncer] server_tls_sslmode = verify-ca",
            "the name in the server's certificate is checked too; see upstream.server_name",
        ),
        _ => {}
    }
}

fn control(draft: &mut Draft, settings: &mut Settings, options: &Options, group: &Group) {
    draft.section("[control]");
    draft.comment(
        "PgBouncer has no such account: over these connections statements are cancelled. It needs \
         the roles pg_monitor and pg_signal_backend, and whatever auth.query reads.",
    );
    let auth_user = settings.text("auth_user");
    let (user, from) = match (&options.control_user, &auth_user) {
        (Some(user), _) => (user.as_str(), "--control-user"),
        (None, Some(given)) => (given.value.as_str(), "auth_user"),
        (None, None) => ("tidegate", "to be created"),
    };
    draft.set("user", text(user).as_str(), from);
    let listed = settings.file("auth_file").and_then(|file| read_password_file(&file.value).ok());
    let listed = listed.into_iter().flatten().find(|entry| &*entry.user == user);
    let password = listed.and_then(|entry| match Stored::from(entry.secret) {
        Stored::Plain(password) if !password.is_empty() => Some(password),
        _ => None,
    });
    let password = password.as_ref().and_then(|password| str::from_utf8(password.expose()).ok());
    if let Some(file) = &options.control_password_file {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        draft.set(
            "password_file",
            text(&file.to_string_lossy()).as_str(),
            "--control-password-file",
        );
    } else if let Some(password) = password {
        draft.set("password", text(password).as_str(), "auth_file");
    } else {
        draft.comment("password_file = \"/etc/tidegate/control-password\"");
        settings.note(
            format!("the control account {user}"),
            "set control.password or password_file: its password stands nowhere in plain text \
             (--control-user and --control-password-file write it)",
        );
    }
    let database = match settings.text("auth_dbname") {
        Some(given) => Some((given.value, "auth_dbname")),
        None => group
            .databases
            .iter()
            .find(|database| database.name != "*")
            .map(|database| (database.real_name.clone(), "first of [databases]")),
    };
    if let Some((database, from)) = database {
        draft.set("database", text(&database).as_str(), from);
    }
}

fn auth(draft: &mut Draft, settings: &mut Settings) {
    draft.section("[auth]");
    let file = settings.file("auth_file");
    let asks = settings.text("auth_user");
    let query = settings.text("auth_query");
    let kind = settings.text("auth_type");
    match (&asks, &file) {
        (Some(_), _) => draft.set("database", true, "auth_user"),
        (None, Some(_)) => draft.set("database", false, "auth_user is not set"),
        (None, None) => draft.set("database", true, "neither auth_user nor auth_file is set"),
    }
    if let Some(file) = &file {
        draft.set("file", text(&file.value.to_string_lossy()).as_str(), &file.from);
        if let Err(error) = read_password_file(&file.value) {
            settings.note("[pgbouncer] auth_file", error.to_string());
        }
    }
    if let Some(query) = query.filter(|_| asks.is_some()) {
        draft.set("query", text(&query.value).as_str(), &query.from);
    }
    let kind = kind.map_or_else(|| "md5".into(), |kind| kind.value);
    match kind.as_str() {
        "md5" | "scram-sha-256" | "plain" => draft.comment(&format!(
            "auth_type = {kind}: clients are asked for what is kept of their password, md5 or \
             SCRAM-SHA-256; where the password itself is, for SCRAM-SHA-256."
        )),
        "hba" => hba(draft, settings),
        "trust" => draft.set("trust", list(["0.0.0.0/0", "::/0"]), "auth_type = trust"),
        "any" => settings.note(
            "[pgbouncer] auth_type = any",
            "clients log in as themselves and prove it; see auth.trust for networks that need not",
        ),
        other => settings.note(
            format!("[pgbouncer] auth_type = {other}"),
            "clients prove their password (SCRAM-SHA-256 or md5); see auth.trust for networks that \
             need not",
        ),
    }
}

/// Networks that are trusted; of all other lines it is said what becomes of them.
fn hba(draft: &mut Draft, settings: &mut Settings) {
    let Some(file) = settings.file("auth_hba_file") else {
        settings
            .note("[pgbouncer] auth_type = hba", "auth_hba_file is not set: all prove themselves; see auth.trust for networks that need not");
        return;
    };
    match hba::read(&file.value) {
        Ok(hba) => {
            let trusted: Vec<_> = hba.trusted.iter().map(ToString::to_string).collect();
            if !trusted.is_empty() {
                draft.set("trust", list(trusted.iter().map(String::as_str)), &file.from);
            }
            for (line, advice) in hba.others {
                settings.note(format!("auth_hba_file: {line}"), advice);
            }
        }
        Err(error) => settings.note("[pgbouncer] auth_hba_file", error.to_string()),
    }
}
