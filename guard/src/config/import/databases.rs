//! `[databases]`: connection strings, and which databases are on which server.

use super::ImportError;
use super::ini::{Setting, quoted};
use super::listeners;
use super::settings::Settings;
use crate::config::Endpoint;

/// Servers of PostgreSQL listen there unless told otherwise.
const PORT: u16 = 5432;

/// The databases of one server.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) server: Endpoint,
    pub(super) databases: Vec<Database>,
}

/// A database, as clients name it.
#[derive(Debug)]
pub(super) struct Database {
    /// `*` stands for all that are not listed.
    pub(super) name: String,
    /// What the server calls it.
    pub(super) real_name: String,
    /// The connections it may have, where its line says so; and the key that does.
    pub(super) own: Option<(u32, &'static str)>,
    /// The connections it may have, reserve included.
    pub(super) connections: u32,
}

/// All databases by server, in the order of the file.
pub(super) fn groups(ini: &[Setting], settings: &mut Settings) -> Result<Vec<Group>, ImportError> {
    let mut groups: Vec<Group> = Vec::new();
    for setting in ini.iter().filter(|setting| setting.section == "databases") {
        let (server, database) = database(setting, settings)?;
        match groups.iter_mut().find(|group| group.server == server) {
            Some(group) => group.databases.push(database),
            None => groups.push(Group { server, databases: vec![database] }),
        }
    }
    if let [first, others @ ..] = &groups[..] {
        for group in others {
            let names: Vec<&str> = group.databases.iter().map(|it| it.name.as_str()).collect();
            settings.note(
                format!("[databases] {} on {}", names.join(", "), group.server),
                format!(
                    "one guard stands before one server, and the first file before {}. With \
                     -o FOLDER/ a file is written for each server, with ports of its own: point \
                     the clients of these databases there",
                    first.server
                ),
            );
        }
    }
    Ok(groups)
}

fn database(
    setting: &Setting,
    settings: &mut Settings,
) -> Result<(Endpoint, Database), ImportError> {
    let name = setting.key.clone();
    let pairs = pairs(&setting.value).ok_or_else(|| {
        setting.place.wrong("not a connection string; expected \"key=value key='value'\"")
    })?;
    let find = |key: &str| {
        pairs.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    };
    let number = |key: &'static str| match find(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u32>()
            .map(Some)
            .map_err(|_| setting.place.wrong(format!("{key}={text}: expected a whole number"))),
    };
    let port = match number("port")? {
        None => PORT,
        Some(port) => u16::try_from(port)
            .map_err(|_| setting.place.wrong(format!("port={port}: expected a port")))?,
    };
    let server = server(find("host").unwrap_or_default(), port, &name, settings);
    let real_name = find("dbname").unwrap_or(&name).to_owned();
    if real_name != name {
        settings.note(
            format!("[databases] {name}: dbname={real_name}"),
            format!("databases are not renamed: have its clients connect to {real_name}"),
        );
    }
    for (key, value) in &pairs {
        settings.note_database(&name, key, value);
    }
    let pool = number("pool_size")?;
    let reserve = number("reserve_pool_size")?.or(number("reserve_pool")?);
    let most = number("max_db_connections")?.filter(|most| *most > 0);
    let default = settings.pool(pool, reserve)?;
    let general = settings.number("max_db_connections", 0)?.value;
    let own = most.map(|most| (most, "max_db_connections"));
    let own = own.or(pool.map(|_| (default, "pool_size")));
    let own = own.or((general > 0).then_some((general, "max_db_connections")));
    let connections = own.map_or(default, |(own, _)| own).max(1);
    let own = own.map(|(own, key)| (own.max(1), key));
    Ok((server, Database { name, real_name, own, connections }))
}

/// The one place to connect to.
fn server(text: &str, port: u16, database: &str, settings: &mut Settings) -> Endpoint {
    let first = text.split(',').next().unwrap_or_default().trim();
    if text.contains(',') {
        settings.note(
            format!("[databases] {database}: host={text}"),
            format!(
                "one guard stands before one server: {first} is written. For the others start \
                 more guards, or give a name that leads to the primary"
            ),
        );
    }
    let folder = match first {
        "" => listeners::socket_dir(settings).map(|(folder, _)| folder),
        path if path.starts_with('/') => Some(path.to_owned()),
        name if !name.starts_with('@') => return Endpoint { host: first.into(), port },
        _ => None,
    };
    match folder {
        Some(folder) => {
            let host = format!("{}/.s.PGSQL.{port}", folder.trim_end_matches('/'));
            Endpoint { host, port: 0 }
        }
        None => {
            settings.note(
                format!("[databases] {database}: a Unix socket without a path"),
                "127.0.0.1 is written; the server must listen there (listen_addresses), and \
                 pg_hba.conf let it in",
            );
            Endpoint { host: "127.0.0.1".into(), port }
        }
    }
}

/// The pairs of a connection string. Values may be quoted, and a quote in one is doubled.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        let after = after.trim_start();
        let (value, after) = if after.starts_with('\'') {
            quoted(after, '\'')?
        } else {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            (after[..end].into(), &after[end..])
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            return None;
        }
        pairs.push((key.into(), value));
        rest = after.trim_start();
    }
    Some(pairs)
}
