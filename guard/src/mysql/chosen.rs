//! What a login chose for its session, and `COM_RESET_CONNECTION` may forget.
//!
//! The character set of the handshake: MySQL falls back to the server's own, MariaDB keeps it.
//! `IGNORE_SPACE`, which is a flag of the handshake and a word in `sql_mode`: MariaDB drops it,
//! MySQL keeps it. The guard resets connections between sessions that know of no reset, and then
//! chooses again; for a session that was reset by its client it does not.

use bytes::{BufMut, BytesMut};
use wire::mysql::Capabilities;

use super::connection::Connection;
use crate::mysql::session::settings::{AT_PREPARE, Settings, put_value};

/// What a login chose.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The collation of the handshake, by its number.
    charset: u8,
    /// The collation that came of it.
    collation: &'a [u8],
    ignores_space: bool,
    mariadb: bool,
}

/// Whether `COM_RESET_CONNECTION` forgets something of a login with these capabilities.
pub fn is_forgotten_by_reset(mariadb: bool, capabilities: Capabilities) -> bool {
    !mariadb || capabilities.contains(Capabilities::IGNORE_SPACE)
}

/// `sql_mode` of a login that ignores space.
const IGNORING_SPACE: &[u8] = b"sql_mode=CONCAT('IGNORE_SPACE,',@@global.sql_mode)";

impl<'a> Chosen<'a> {
    /// What the login of `connection` chose.
    pub fn on(connection: &'a Connection) -> Self {
        Self {
            charset: connection.charset,
            collation: &connection.login_collation,
            ignores_space: connection.capabilities.contains(Capabilities::IGNORE_SPACE),
            mariadb: connection.mariadb,
        }
    }

    /// Appends what brings it back after a reset: assignments behind others.
    pub fn put_again(self, out: &mut BytesMut) {
        if self.mariadb && self.ignores_space {
            out.put_u8(b',');
            out.put_slice(IGNORING_SPACE);
        }
        if !self.mariadb {
            let id = self.charset;
            out.put_slice(
                format!(
                    ",character_set_client={id},character_set_results={id},\
                     collation_connection={id}"
                )
                .as_bytes(),
            );
        }
    }

    /// The statements that bring a session from one scene to another (see
    /// [`Settings::is_same_scene`]), the schema aside. Where `to` has chosen nothing itself, it is
    /// what the login chose, or the server's own where a reset forgot that. `is_back` says that it
    /// was left by the same way, so that its collation for results comes back too.
    pub fn scene(self, from: &Settings, to: &Settings, is_back: bool) -> Vec<BytesMut> {
        const CHARSETS: [&[u8]; 3] =
            [b"character_set_client", b"character_set_connection", b"collation_connection"];
        let mut steps = Vec::new();
        if CHARSETS.iter().any(|name| from.variable(name) != to.variable(name)) {
            self.put_charsets(to, is_back, &mut steps);
        }
        if from.variable(b"sql_mode") != to.variable(b"sql_mode") {
            steps.push(match to.variable(b"sql_mode") {
                Some(value) => assignment(b"sql_mode", value),
                None if self.ignores_space && !(self.mariadb && to.is_reset) => {
                    BytesMut::from_iter(b"SET ".iter().chain(IGNORING_SPACE))
                }
                None => default(b"sql_mode"),
            });
        }
        let changed = AT_PREPARE.iter().filter(|name| from.variable(name) != to.variable(name));
        steps.extend(changed.map(|name| match to.variable(name) {
            Some(value) => assignment(name, value),
            None => default(name),
        }));
        steps
    }

    fn put_charsets(self, to: &Settings, is_back: bool, steps: &mut Vec<BytesMut>) {
        // MariaDB takes no number for a character set where its collation is not the default one.
        if to.is_reset && !self.mariadb {
            steps.push(BytesMut::from(
                &b"SET character_set_client=DEFAULT,collation_connection=DEFAULT"[..],
            ));
        } else {
            steps.push(assignment(b"collation_connection", self.collation));
            let client = b"SET character_set_client=@@character_set_connection";
            steps.push(BytesMut::from(&client[..]));
        }
        let mut names = BytesMut::from(&b"SET "[..]);
        let is_named = is_back && to.put_names(&mut names);
        if is_named {
            steps.push(names);
        }
        for name in [&b"character_set_client"[..], b"character_set_connection"] {
            let value = to.variable(name).filter(|_| !(is_named && to.is_of_names(name)));
            steps.extend(value.map(|value| assignment(name, value)));
        }
        let collation = &b"collation_connection"[..];
        steps.extend(to.variable(collation).map(|value| assignment(collation, value)));
    }
}

fn assignment(name: &[u8], value: &[u8]) -> BytesMut {
    let mut sql = BytesMut::from(&b"SET "[..]);
    sql.put_slice(name);
    sql.put_u8(b'=');
    put_value(name, value, &mut sql);
    sql
}

fn default(name: &[u8]) -> BytesMut {
    BytesMut::from_iter(b"SET ".iter().chain(name).chain(b"=DEFAULT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chosen: Chosen<'_>, from: &Settings, to: &Settings) -> Vec<String> {
        let steps = chosen.scene(from, to, false);
        steps.into_iter().map(|sql| String::from_utf8(sql.to_vec()).unwrap()).collect()
    }

    const MARIADB: Chosen<'_> =
        Chosen { charset: 45, collation: b"utf8mb4_bin", ignores_space: true, mariadb: true };

    #[test]
    fn a_scene_without_choices_is_that_of_the_login() {
        let mut chosen = Settings::default();
        chosen.set_variable(b"sql_mode", b"ANSI_QUOTES");
        chosen.set_variable(b"character_set_client", b"latin1");
        assert_eq!(
            texts(MARIADB, &chosen, &Settings::default()),
            [
                "SET collation_connection='utf8mb4_bin'",
                "SET character_set_client=@@character_set_connection",
                "SET sql_mode=CONCAT('IGNORE_SPACE,',@@global.sql_mode)",
            ]
        );
        let mut reset = Settings::default();
        reset.is_reset = true;
        assert!(texts(MARIADB, &chosen, &reset).contains(&"SET sql_mode=DEFAULT".to_owned()));
        let mysql = Chosen { mariadb: false, ..MARIADB };
        assert!(texts(mysql, &chosen, &reset)[0].contains("collation_connection=DEFAULT"));
    }

    #[test]
    fn a_scene_with_choices_is_set_as_it_was() {
        let mut chosen = Settings::default();
        chosen.set_variable(b"character_set_connection", b"latin1");
        assert_eq!(
            texts(MARIADB, &Settings::default(), &chosen).last().map(String::as_str),
            Some("SET character_set_connection='latin1'")
        );
        assert!(texts(MARIADB, &chosen, &chosen).is_empty());
    }

    #[test]
    fn what_is_read_at_prepare_is_set_as_it_was() {
        let mut chosen = Settings::default();
        chosen.set_variable(b"div_precision_increment", b"6");
        let login = Settings::default();
        assert_eq!(texts(MARIADB, &login, &chosen), ["SET div_precision_increment=6"]);
        assert_eq!(texts(MARIADB, &chosen, &login), ["SET div_precision_increment=DEFAULT"]);
    }
}
